use super::*;

const NAN: f64 = f64::NAN;

/// Two windows of one size, one field: events at 0, 400 and 900 ms, and one at 1,500 ms.
fn windows(values: &[f64]) -> Ragged<'_, f64> {
    Ragged {
        values,
        splits: &[0, 3, 4],
        width: 1,
        times: Some(&[0, 400, 900, 1_500]),
        starts: &[0, 1_000],
        ends: &[1_000, 2_000],
        pad_to: None,
    }
}

fn shown(dense: Option<Vec<f64>>) -> String {
    format!("{:?}", dense.unwrap())
}

fn grid(grid: Grid, how: How) -> Request {
    Request::Grid(Resample { grid, how, layout: Layout::Ntf })
}

#[test]
fn places_without_an_event_are_on_the_side_asked_for() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let pad = |length, side| Pad { length, side, value: 0.0, layout: Layout::Ntf };
    let dense = |pad| windows(&values).dense::<f64>(&Request::Events(pad)).unwrap();
    assert_eq!(dense(pad(2, Side::Left)), [2.0, 3.0, 0.0, 4.0]);
    assert_eq!(dense(pad(2, Side::Right)), [2.0, 3.0, 4.0, 0.0]);
    assert_eq!(windows(&values).mask(&pad(2, Side::Right)).unwrap(), [true, true, true, false]);
}

#[test]
fn rows_beyond_the_windows_repeat_the_last_one() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let padded = Ragged { pad_to: Some(4), ..windows(&values) };
    let request = Request::Summary(vec![Stat::Mean]);
    assert_eq!(padded.dense::<f64>(&request).unwrap(), [2.0, 4.0, 4.0, 4.0]);
    assert_eq!(padded.shape(&request), [4, 1]);
}

#[test]
fn a_grid_takes_from_its_neighbours_from_before_or_the_mean() {
    let values = [0.0, 4.0, NAN, 7.0];
    let dense = |how| shown(windows(&values).dense(&grid(Grid::Count(4), how)));
    assert_eq!(dense(How::Linear), "[0.0, 2.5, 4.0, 4.0, 7.0, 7.0, 7.0, 7.0]");
    assert_eq!(dense(How::Previous), "[0.0, 0.0, 4.0, 4.0, NaN, NaN, 7.0, 7.0]");
    assert_eq!(dense(How::Mean), "[0.0, 4.0, NaN, NaN, NaN, NaN, 7.0, NaN]");
}

#[test]
fn a_step_that_does_not_divide_the_window_leaves_a_shorter_last_one() {
    let values = [0.0, 4.0, 9.0, 7.0];
    let dense = |how| shown(windows(&values).dense(&grid(Grid::Every(400), how)));
    assert_eq!(dense(How::Mean), "[0.0, 4.0, 9.0, NaN, 7.0, NaN]");
    assert_eq!(dense(How::Linear), "[0.0, 4.0, 8.0, 7.0, 7.0, 7.0]");
    assert_eq!(dense(How::Previous), "[0.0, 4.0, 4.0, NaN, NaN, 7.0]");
    assert_eq!(shown(windows(&values).dense(&grid(Grid::Count(2), How::Mean))), "[2.0, 9.0, NaN, 7.0]");
}

#[test]
fn a_window_of_nothing_but_nan_has_a_count_of_none_and_no_mean() {
    let dense = windows(&[NAN, NAN, NAN, 2.0]).dense(&Request::Summary(Stat::ALL.to_vec()));
    let expected = "[0.0, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0.0, 1.0, \
                    1.0, 2.0, 0.0, 2.0, 2.0, 2.0, 2.0, NaN, 4.0, 0.0]";
    assert_eq!(shown(dense), expected);
}

#[test]
fn what_does_not_fit_into_memory_is_none() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let pad = Pad { length: usize::MAX / 4, side: Side::Left, value: NAN, layout: Layout::Nft };
    assert!(windows(&values).dense::<f32>(&Request::Events(pad)).is_none());
}
