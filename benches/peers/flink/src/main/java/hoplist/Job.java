package hoplist;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** HopList as a DataStream job on heap state, until it is told to stop: {@code Job JSON}. */
public final class Job {
  private static final long CHECKPOINT_MS = 1_000;

  private Job() {}

  public static void main(String[] arguments) throws Exception {
    Spec spec = new ObjectMapper().readValue(arguments[0], Spec.class);
    Configuration settings = new Configuration();
    settings.set(StateBackendOptions.STATE_BACKEND, "hashmap");
    settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + spec.directory());
    settings.set(PipelineOptions.OBJECT_REUSE, true); // no function here changes what it was given
    // One subtask of each step, chained: two exchange every event, and share two cores with the broker.
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    env.enableCheckpointing(CHECKPOINT_MS, CheckpointingMode.AT_LEAST_ONCE);
    env.fromSource(source(spec), watermarks(spec), "readings")
        .keyBy(reading -> reading.sensor)
        .window(
            SlidingEventTimeWindows.of(Duration.ofMillis(spec.sizeMs()), Duration.ofMillis(spec.hopMs())))
        .process(new Mean())
        .sinkTo(sink(spec));
    env.execute(spec.name());
  }

  private static KafkaSource<Reading> source(Spec spec) {
    return KafkaSource.<Reading>builder()
        .setBootstrapServers(spec.brokers())
        .setTopics(spec.topic())
        .setGroupId(spec.name())
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setValueOnlyDeserializer(new Formats.ReadingSchema())
        .build();
  }

  private static WatermarkStrategy<Reading> watermarks(Spec spec) {
    return WatermarkStrategy.<Reading>forBoundedOutOfOrderness(Duration.ofMillis(spec.graceMs()))
        .withTimestampAssigner((reading, recordTime) -> reading.ts);
  }

  private static KafkaSink<Result> sink(Spec spec) {
    return KafkaSink.<Result>builder()
        .setBootstrapServers(spec.brokers())
        .setRecordSerializer(new Formats.ResultSchema(spec.sink()))
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build();
  }

  /** The model sees all values of a window, so they are kept: no running sum. */
  private static final class Mean extends ProcessWindowFunction<Reading, Result, String, TimeWindow> {
    @Override
    public void process(String key, Context context, Iterable<Reading> readings, Collector<Result> out) {
      int count = 0;
      double sum = 0;
      for (Reading reading : readings) {
        count++;
        sum += reading.v;
      }
      out.collect(new Result(key, context.window().getStart(), context.window().getEnd(), count, sum / count));
    }
  }
}
