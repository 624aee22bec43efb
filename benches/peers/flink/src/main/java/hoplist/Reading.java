package hoplist;

/** An event. Public fields and a constructor without arguments: so Flink has a serializer of its own for it. */
public final class Reading {
  public String sensor;
  public long ts;
  public double v;
}
