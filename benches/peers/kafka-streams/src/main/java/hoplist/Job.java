package hoplist;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Runs one of the two topologies until it is told to stop: {@code Job suppress|panes JSON}. */
public final class Job {
  private Job() {}

  public static void main(String[] arguments) throws Exception {
    Spec spec = new ObjectMapper().readValue(arguments[1], Spec.class);
    StreamsBuilder builder = new StreamsBuilder();
    switch (arguments[0]) {
      case "suppress" -> Suppress.build(builder, spec);
      case "panes" -> Panes.build(builder, spec);
      default -> throw new IllegalArgumentException("no topology " + arguments[0]);
    }
    KafkaStreams streams = new KafkaStreams(builder.build(), settings(spec));
    CountDownLatch stopped = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          stopped.countDown();
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    stopped.await();
  }

  private static Properties settings(Spec spec) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, spec.name());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, spec.brokers());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, spec.directory());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1); // the changelogs: the broker is alone
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    return settings;
  }
}
