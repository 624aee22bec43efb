package hoplist;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.TimestampExtractor;

/** What goes over the wire and into the stores. */
final class Formats {
  private Formats() {}

  /** An event; its sensor is the key of its record, too. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  record Reading(long ts, double v) {}

  private static final ObjectReader READER = new ObjectMapper().readerFor(Reading.class);

  static final Serde<Reading> READING =
      Serdes.serdeFrom(
          (topic, reading) -> {
            throw new UnsupportedOperationException("readings are only read");
          },
          (topic, bytes) -> {
            try {
              return READER.readValue(bytes);
            } catch (IOException error) {
              throw new UncheckedIOException(error);
            }
          });

  /** Eight bytes a value and nothing else, where Serdes.ListSerde adds a size to each. */
  static final Serde<List<Double>> VALUES = Serdes.serdeFrom(Formats::pack, Formats::unpack);

  private static byte[] pack(String topic, List<Double> values) {
    if (values == null) {
      return null;
    }
    ByteBuffer packed = ByteBuffer.allocate(values.size() * Double.BYTES);
    values.forEach(packed::putDouble);
    return packed.array();
  }

  private static List<Double> unpack(String topic, byte[] bytes) {
    if (bytes == null) {
      return null;
    }
    ByteBuffer packed = ByteBuffer.wrap(bytes);
    List<Double> values = new ArrayList<>(bytes.length / Double.BYTES + 1);
    while (packed.hasRemaining()) {
      values.add(packed.getDouble());
    }
    return values;
  }

  /** Event time is the field, not the record's timestamp. */
  static final class EventTime implements TimestampExtractor {
    @Override
    public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
      return ((Reading) record.value()).ts();
    }
  }

  static Consumed<String, Reading> readings() {
    return Consumed.with(Serdes.String(), READING).withTimestampExtractor(new EventTime());
  }

  static String result(String key, long start, long end, List<Double> values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return "{\"key\":\"" + key + "\",\"window\":{\"start\":" + start + ",\"end\":" + end + "},\"n_events\":"
        + values.size() + ",\"mean\":" + sum / values.size() + "}";
  }
}
