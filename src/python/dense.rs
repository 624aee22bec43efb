//! The dense arrays of a batch for Python: what is asked for in words, and numpy arrays of any of the two types.

use numpy::{Element, PyArray1, PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, dtype};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::config::DType;
use crate::ragged::{Float, Grid, How, Layout, Pad, Ragged, Request, Resample, Side, Stat};

const LAYOUTS: [(&str, Layout); 2] = [("ntf", Layout::Ntf), ("nft", Layout::Nft)];
const SIDES: [(&str, Side); 2] = [("left", Side::Left), ("right", Side::Right)];
const HOWS: [(&str, How); 3] = [("linear", How::Linear), ("previous", How::Previous), ("mean", How::Mean)];

/// The values of a batch with all that dense arrays are made of.
pub(super) enum Source<'a> {
    F64(Ragged<'a, f64>),
    F32(Ragged<'a, f32>),
}

impl Source<'_> {
    pub(super) fn longest(&self) -> usize {
        match self {
            Self::F64(ragged) => ragged.longest(),
            Self::F32(ragged) => ragged.longest(),
        }
    }

    /// The type of the values.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::F64(_) => DType::Float64,
            Self::F32(_) => DType::Float32,
        }
    }

    /// What is requested, as an array of a type.
    pub(super) fn array<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        dtype: DType,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (self, dtype) {
            (Self::F64(ragged), DType::Float64) => array::<f64, f64>(py, *ragged, request),
            (Self::F64(ragged), DType::Float32) => array::<f64, f32>(py, *ragged, request),
            (Self::F32(ragged), DType::Float64) => array::<f32, f64>(py, *ragged, request),
            (Self::F32(ragged), DType::Float32) => array::<f32, f32>(py, *ragged, request),
        }
    }

    /// Which places of a padded array hold an event, `(windows, times)`.
    pub(super) fn mask<'py>(&self, py: Python<'py>, pad: &Pad) -> PyResult<Bound<'py, PyAny>> {
        let (mask, windows) = match self {
            Self::F64(ragged) => (py.detach(|| ragged.mask(pad)), ragged.dense_windows()),
            Self::F32(ragged) => (py.detach(|| ragged.mask(pad)), ragged.dense_windows()),
        };
        shaped(py, mask, vec![windows, pad.length])
    }
}

fn array<'py, T: Float, U: Float + Element>(
    py: Python<'py>,
    ragged: Ragged<'_, T>,
    request: &Request,
) -> PyResult<Bound<'py, PyAny>> {
    let shape = ragged.shape(request);
    shaped(py, py.detach(|| ragged.dense::<U>(request)), shape)
}

fn shaped<T: Element>(
    py: Python<'_>,
    dense: Option<Vec<T>>,
    shape: Vec<usize>,
) -> PyResult<Bound<'_, PyAny>> {
    let Some(dense) = dense else {
        return Err(PyMemoryError::new_err(format!("an array of {shape:?} does not fit into memory")));
    };
    Ok(PyArray1::from_vec(py, dense).reshape(shape)?.into_any())
}

/// The events of each window at `length` places, as many as the longest one has where that is not given.
pub(super) fn pad(
    name: &str,
    length: Option<i64>,
    longest: usize,
    side: &str,
    value: f64,
    layout: &str,
) -> PyResult<Pad> {
    let length = match length {
        None => longest,
        Some(length) => at_least_one(name, length)?,
    };
    Ok(Pad {
        length,
        side: choice("side", side, &SIDES)?,
        value,
        layout: choice("layout", layout, &LAYOUTS)?,
    })
}

/// A grid by its number of times or by the time between them, of which one is given.
pub(super) fn resample(
    n: Option<i64>,
    every: Option<&Bound<'_, PyAny>>,
    how: &str,
    layout: &str,
) -> PyResult<Resample> {
    let grid = match (n, every) {
        (Some(n), None) => Grid::Count(at_least_one("n", n)?),
        (None, Some(every)) => {
            let durations = every.py().import("millstream._durations")?;
            Grid::Every(durations.call_method1("duration_ms", ("resample() every", every))?.extract()?)
        }
        _ => {
            return Err(PyTypeError::new_err(
                "resample() takes either n or every: write resample(100), or resample(every=\"100ms\")",
            ));
        }
    };
    Ok(Resample { grid, how: choice("how", how, &HOWS)?, layout: choice("layout", layout, &LAYOUTS)? })
}

/// Statistics by name; all where none are named.
pub(super) fn stats(names: Option<Vec<String>>) -> PyResult<Vec<Stat>> {
    let Some(names) = names else { return Ok(Stat::ALL.to_vec()) };
    if names.is_empty() {
        return Err(PyValueError::new_err("summary([]) names no statistic; leave it out for all of them"));
    }
    let options = Stat::ALL.map(|stat| (stat.name(), stat));
    names.iter().map(|name| choice("stats", name, &options)).collect()
}

/// The type that is asked for, `own` where none is.
pub(super) fn dtype_or(own: DType, asked: Option<&Bound<'_, PyAny>>) -> PyResult<DType> {
    let Some(asked) = asked else { return Ok(own) };
    let (py, descr) = (asked.py(), PyArrayDescr::new(asked.py(), asked)?);
    if descr.is_equiv_to(&dtype::<f64>(py)) {
        Ok(DType::Float64)
    } else if descr.is_equiv_to(&dtype::<f32>(py)) {
        Ok(DType::Float32)
    } else {
        Err(PyTypeError::new_err(format!("dtype={descr} is not accepted; write \"float32\" or \"float64\"")))
    }
}

fn at_least_one(name: &str, value: i64) -> PyResult<usize> {
    match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(PyValueError::new_err(format!("{name}={value} is out of range; it must be at least 1"))),
    }
}

fn choice<T: Copy>(name: &str, given: &str, options: &[(&str, T)]) -> PyResult<T> {
    options.iter().find(|(option, _)| *option == given).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<String> = options.iter().map(|(option, _)| format!("{option:?}")).collect();
        PyValueError::new_err(format!("{name}={given:?} is not accepted; write {}", known.join(" or ")))
    })
}
