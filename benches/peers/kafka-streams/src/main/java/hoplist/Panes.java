package hoplist;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The Processor API: each value is stored once, in the pane (one hop long) of its key, and a window is put together
 * from its panes when it closes.
 */
final class Panes implements Processor<String, Formats.Reading, String, String> {
  private static final String PANES = "panes";
  private static final String CLOCK = "clock";
  private static final String NEXT_END = "next end";

  private final long size;
  private final long hop;
  private final long grace;
  private ProcessorContext<String, String> context;
  private WindowStore<String, List<Double>> panes;
  private KeyValueStore<String, Long> clock;
  private Long nextEnd; // of the window that closes next

  private Panes(Spec spec) {
    size = spec.sizeMs();
    hop = spec.hopMs();
    grace = spec.graceMs();
  }

  static void build(StreamsBuilder builder, Spec spec) {
    // A pane is needed until the last window that it is part of has closed, and the store counts from the newest event.
    Duration retention = spec.size().plus(spec.grace()).plus(spec.hop().multipliedBy(2));
    StoreBuilder<WindowStore<String, List<Double>>> panes =
        Stores.windowStoreBuilder(
                Stores.inMemoryWindowStore(PANES, retention, spec.hop(), false), Serdes.String(), Formats.VALUES)
            .withCachingEnabled();
    StoreBuilder<KeyValueStore<String, Long>> clock =
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(CLOCK), Serdes.String(), Serdes.Long());
    builder
        .stream(spec.topic(), Formats.readings())
        .process(
            new ProcessorSupplier<String, Formats.Reading, String, String>() {
              @Override
              public Processor<String, Formats.Reading, String, String> get() {
                return new Panes(spec);
              }

              @Override
              public Set<StoreBuilder<?>> stores() {
                return Set.of(panes, clock);
              }
            })
        .to(spec.sink(), Produced.with(Serdes.String(), Serdes.String()));
  }

  @Override
  public void init(ProcessorContext<String, String> context) {
    this.context = context;
    panes = context.getStateStore(PANES);
    clock = context.getStateStore(CLOCK);
    nextEnd = clock.get(NEXT_END);
  }

  @Override
  public void process(Record<String, Formats.Reading> record) {
    long pane = Math.floorDiv(record.timestamp(), hop) * hop;
    if (nextEnd == null) {
      nextEnd = Math.floorDiv(record.timestamp() - grace, hop) * hop + hop;
    }
    if (pane + size >= nextEnd) { // else it is late for all of its windows
      List<Double> values = panes.fetch(record.key(), pane);
      values = values == null ? new ArrayList<>() : values;
      values.add(record.value().v());
      panes.put(record.key(), values, pane);
    }
    if (nextEnd + grace <= context.currentStreamTimeMs()) {
      while (nextEnd + grace <= context.currentStreamTimeMs()) {
        close(nextEnd - size, nextEnd);
        nextEnd += hop;
      }
      clock.put(NEXT_END, nextEnd);
    }
  }

  private void close(long start, long end) {
    Map<String, List<Double>> windows = new HashMap<>();
    try (var stored = panes.fetchAll(start, end - hop)) {
      stored.forEachRemaining(
          pane -> windows.computeIfAbsent(pane.key.key(), key -> new ArrayList<>()).addAll(pane.value));
    }
    windows.forEach(
        (key, values) ->
            context.forward(new Record<>(key, Formats.result(key, start, end, values), end - 1)));
  }
}
