//! `Histogram`: times in microseconds, as HdrHistogram keeps them; and what a worker has recorded, in Python's terms.

use std::sync::{Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastworker_worker::{Record, STAGES, Sketch};
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

type Hdr = hdrhistogram::Histogram<u64>;

/// Significant digits, as in the worker.
const DIGITS: u8 = 3;

/// `saturating_record` would count what is beyond its end as the end, instead of growing.
pub(crate) const GROWS: &str = "it grows up to 64 bits";

pub(crate) fn empty() -> Hdr {
    Hdr::new(DIGITS).expect("three digits are allowed")
}

fn encoded(histogram: &Hdr) -> PyResult<String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| PyRuntimeError::new_err(format!("a histogram cannot be written: {error}")))?;
    Ok(STANDARD.encode(bytes))
}

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Histogram(Mutex<Hdr>);

impl Histogram {
    pub(crate) fn of(histogram: Hdr) -> Histogram {
        Histogram(Mutex::new(histogram))
    }

    fn hdr(&self) -> MutexGuard<'_, Hdr> {
        self.0.lock().expect("nothing panics while it holds this")
    }
}

#[pymethods]
impl Histogram {
    #[new]
    fn new() -> Histogram {
        Histogram::of(empty())
    }

    #[staticmethod]
    fn decode(text: &str) -> PyResult<Histogram> {
        let unreadable = |why: String| PyValueError::new_err(format!("no histogram can be read from the text: {why}"));
        let bytes = STANDARD.decode(text).map_err(|error| unreadable(error.to_string()))?;
        let histogram = Deserializer::new().deserialize(&mut &bytes[..]);
        Ok(Histogram::of(histogram.map_err(|error| unreadable(error.to_string()))?))
    }

    fn encode(&self) -> PyResult<String> {
        encoded(&self.hdr())
    }

    #[pyo3(signature = (value_us, count=1))]
    fn record(&self, value_us: u64, count: u64) {
        self.hdr().record_n(value_us, count).expect(GROWS);
    }

    fn add(&self, other: &Histogram) -> PyResult<()> {
        // Not both locks at once: somebody may add two to each other.
        let other = other.hdr().clone();
        self.hdr().add(&other).map_err(|error| PyValueError::new_err(format!("histograms cannot be added: {error}")))
    }

    fn subtract(&self, earlier: &Histogram) -> PyResult<()> {
        let earlier = earlier.hdr().clone();
        self.hdr()
            .subtract(&earlier)
            .map_err(|error| PyValueError::new_err(format!("a histogram cannot be subtracted: {error}")))
    }

    #[getter]
    fn count(&self) -> u64 {
        self.hdr().len()
    }

    #[getter]
    fn min_us(&self) -> u64 {
        self.hdr().min()
    }

    #[getter]
    fn max_us(&self) -> u64 {
        self.hdr().max()
    }

    #[getter]
    fn mean_us(&self) -> f64 {
        self.hdr().mean()
    }

    #[getter]
    fn stdev_us(&self) -> f64 {
        self.hdr().stdev()
    }

    fn quantile_us(&self, share: f64) -> u64 {
        self.hdr().value_at_quantile(share)
    }

    fn buckets(&self) -> Vec<(u64, u64)> {
        let histogram = self.hdr();
        histogram
            .iter_recorded()
            .map(|bucket| (histogram.median_equivalent(bucket.value_iterated_to()), bucket.count_at_value()))
            .collect()
    }
}

/// What `Worker.record` gives; see `_core.pyi`.
pub(crate) fn recorded<'py>(py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyDict>> {
    let tasks = PyDict::new(py);
    for task in &record.tasks {
        let outcomes = PyDict::new(py);
        for (name, count) in Record::OUTCOMES.iter().zip(&task.outcomes).filter(|(_, count)| **count > 0) {
            outcomes.set_item(name, count)?;
        }
        let stages = PyDict::new(py);
        for (name, histogram) in STAGES.iter().zip(&task.stages) {
            stages.set_item(name, encoded(histogram)?)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("outcomes", outcomes)?;
        dict.set_item("stages", stages)?;
        tasks.set_item(&task.name, dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("tasks", tasks)?;
    dict.set_item("firsts", record.firsts)?;
    dict.set_item("repeats", record.repeats)?;
    dict.set_item("early", record.early)?;
    dict.set_item("last_us", record.last_us)?;
    dict.set_item("numbers", PyBytes::new(py, &record.numbers))?;
    Ok(dict)
}

/// What `Worker.sketch` gives; see `_core.pyi`.
pub(crate) fn sketched<'py>(py: Python<'py>, sketch: &Sketch) -> PyResult<Bound<'py, PyDict>> {
    let tasks = PyDict::new(py);
    for task in &sketch.tasks {
        let dict = PyDict::new(py);
        dict.set_item("arrivals", task.arrivals)?;
        dict.set_item("seconds", &task.seconds)?;
        dict.set_item("hours", &task.hours)?;
        dict.set_item("wait", encoded(&task.waits)?)?;
        dict.set_item("run", encoded(&task.runs)?)?;
        dict.set_item("cpu_us", task.computed.0)?;
        dict.set_item("cpu_run_us", task.computed.1)?;
        tasks.set_item(&task.name, dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("began", sketch.began_us as f64 / 1e6)?;
    dict.set_item("now", sketch.now_us as f64 / 1e6)?;
    dict.set_item("tasks", tasks)?;
    Ok(dict)
}
