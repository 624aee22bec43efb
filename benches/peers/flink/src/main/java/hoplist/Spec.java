package hoplist;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

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
    @JsonProperty("grace_ms") long graceMs) {}
