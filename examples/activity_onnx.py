"""The classifier of `activity.py` as an ONNX file, without scikit-learn where it runs.

`python examples/activity_onnx.py` exports it to activity.onnx in the current directory, and needs no broker.
"""

from operator import itemgetter

from basic_motions import LENGTH, SOURCE, WINDOW, replay, statistics

from millstream import App

app = App("activity-onnx")
app.add_model(
    "activity.onnx",  # looked for when the app runs
    source=SOURCE,
    window=WINDOW,
    sink="watch.activity",
    features=lambda batch: statistics(batch.last(LENGTH)),  # cast to float32, which the model says it takes
    outputs=["label", "probabilities"],
)


def export() -> None:
    """Write the file: once, where the model is trained."""
    from activity import forest
    from basic_motions import windows
    from skl2onnx import to_onnx

    sample = statistics(windows()[0]).astype("float32")
    model = to_onnx(forest, sample[:1], options={"zipmap": False})
    with open("activity.onnx", "wb") as file:
        file.write(model.SerializeToString())


if __name__ == "__main__":
    export()
    for result in replay(app, itemgetter("label"))[:4]:
        print(result)
