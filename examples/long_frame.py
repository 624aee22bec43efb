"""Windows as one long frame of pandas, a row per event: `python examples/long_frame.py`, without a broker."""

import numpy as np
import pandas as pd

from millstream import App, Record, Topic, TumblingWindow, WindowBatch

app = App("long-frame")
sales = Topic("shop.sales", key="shop", timestamp="ts", fields=["price", "pieces"], context=["city"])


@app.model(source=sales, window=TumblingWindow("1h", grace="0s"), sink="shop.hours")
def hours(batch: WindowBatch) -> pd.DataFrame:
    """Sum up each shop's hour; `window` is the place of a window in the batch, so groups are in its order."""
    events = batch.to_pandas()
    events["revenue"] = events["price"] * events["pieces"]
    hour = events.groupby("window").agg(
        city=("city", "last"), revenue=("revenue", "sum"), dearest=("price", "max"), sales=("price", "size")
    )
    gaps = events.groupby("window")["timestamp"].diff().dt.total_seconds()
    hour["longest_gap"] = gaps.groupby(events["window"]).max().fillna(3600.0)
    return hour


def stream() -> list[Record]:
    """Return an afternoon of two shops."""
    dice = np.random.default_rng(0)
    times = np.sort(dice.integers(0, 4 * 3_600_000, size=200))
    return [
        Record(
            {
                "shop": shop,
                "city": {"north": "Oslo", "south": "Rome"}[shop],
                "ts": int(ts),
                "price": round(float(price), 2),
                "pieces": int(pieces),
            }
        )
        for ts, shop, price, pieces in zip(
            times,
            dice.choice(["north", "south"], size=200),
            dice.uniform(1, 50, size=200),
            dice.integers(1, 5, size=200),
            strict=True,
        )
    ]


if __name__ == "__main__":
    for hour in app.test({"shop.sales": stream()})["shop.hours"]:
        print(hour.value)
