package hoplist;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Records to objects, and back. */
final class Formats {
  private Formats() {}

  static final class ReadingSchema extends AbstractDeserializationSchema<Reading> {
    private transient ObjectReader reader;

    @Override
    public void open(InitializationContext context) {
      reader = new ObjectMapper().readerFor(Reading.class);
    }

    @Override
    public Reading deserialize(byte[] message) throws IOException {
      return reader.readValue(message);
    }
  }

  static final class ResultSchema implements KafkaRecordSerializationSchema<Result> {
    private final String topic;

    ResultSchema(String topic) {
      this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Result result, KafkaSinkContext context, Long timestamp) {
      String value =
          "{\"key\":\"" + result.key + "\",\"window\":{\"start\":" + result.start + ",\"end\":" + result.end
              + "},\"n_events\":" + result.count + ",\"mean\":" + result.mean + "}";
      return new ProducerRecord<>(topic, bytes(result.key), bytes(value));
    }

    private static byte[] bytes(String text) {
      return text.getBytes(StandardCharsets.UTF_8);
    }
  }
}
