package hoplist;

import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The DSL: each window collects its values and is let through when it closes. Not by {@code EmitStrategy.onWindowClose}:
 * it looks for closed windows once in a second of wall time, and on a backlog the store has dropped them by then.
 */
final class Suppress {
  private Suppress() {}

  static void build(StreamsBuilder builder, Spec spec) {
    builder
        .stream(spec.topic(), Formats.readings())
        .groupByKey()
        .windowedBy(TimeWindows.ofSizeAndGrace(spec.size(), spec.grace()).advanceBy(spec.hop()))
        .aggregate(ArrayList::new, Suppress::append, store())
        .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
        .toStream()
        .map(
            (window, values) ->
                KeyValue.pair(
                    window.key(),
                    Formats.result(window.key(), window.window().start(), window.window().end(), values)))
        .to(spec.sink(), Produced.with(Serdes.String(), Serdes.String()));
  }

  private static List<Double> append(String key, Formats.Reading reading, List<Double> values) {
    values.add(reading.v());
    return values;
  }

  private static Materialized<String, List<Double>, WindowStore<Bytes, byte[]>> store() {
    return Materialized.<String, List<Double>, WindowStore<Bytes, byte[]>>as("windows")
        .withKeySerde(Serdes.String())
        .withValueSerde(Formats.VALUES)
        .withStoreType(Materialized.StoreType.IN_MEMORY)
        .withCachingEnabled();
  }
}
