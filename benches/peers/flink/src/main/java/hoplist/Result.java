package hoplist;

/** The mean of a window, of the same kind as {@link Reading}. */
public final class Result {
  public String key;
  public long start;
  public long end;
  public int count;
  public double mean;

  public Result() {}

  Result(String key, long start, long end, int count, double mean) {
    this.key = key;
    this.start = start;
    this.end = end;
    this.count = count;
    this.mean = mean;
  }
}
