package hoplist;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Duration;

/** What the benchmark says of a run. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Spec(
    String brokers,
    String topic,
    String sink,
    String name,
    String directory,
    @JsonProperty("size_ms") long sizeMs,
    @JsonProperty("hop_ms") long hopMs,
    @JsonProperty("grace_ms") long graceMs) {

  Duration size() {
    return Duration.ofMillis(sizeMs);
  }

  Duration hop() {
    return Duration.ofMillis(hopMs);
  }

  Duration grace() {
    return Duration.ofMillis(graceMs);
  }
}
