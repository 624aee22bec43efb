"""The parts of `millstream demo`: recordings, model, replay, score and screen."""
