"""The promises of Millstream, tested on a real Apache Kafka broker and judged by an independent oracle."""
