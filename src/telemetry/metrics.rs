//! The metric registry, in Prometheus' text format or in Vault's JSON.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Map, Value, json};

use super::catalogue::dotted;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// How often old samples are dropped from histograms.
const UPKEEP: Duration = Duration::from_secs(30);

/// Collects from now on. Once a process; later calls do nothing.
pub fn install() {
    match PrometheusBuilder::new().install_recorder() {
        Ok(handle) => {
            super::process::began();
            super::catalogue::describe();
            let kept = HANDLE.get_or_init(|| handle).clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    loop {
                        tokio::time::sleep(UPKEEP).await;
                        kept.run_upkeep();
                    }
                });
            }
        }
        Err(error) => tracing::debug!(%error, "metrics were already collected"),
    }
}

/// All metrics now, with their media type. An empty `format` gives JSON.
///
/// # Errors
/// With a text for the client, if none are collected or the format is not known.
pub fn export(format: &str) -> Result<(&'static str, String), String> {
    super::process::measure();
    let text = HANDLE.get().map(PrometheusHandle::render).ok_or("prometheus is not enabled")?;
    match format {
        "prometheus" => Ok(("text/plain; version=0.0.4", text)),
        "" => Ok(("application/json", as_json(&text).to_string())),
        other => Err(format!("metric response format {:?} unknown", other.chars().take(32).collect::<String>())),
    }
}

/// The same in the JSON that Vault's clients know, under names with dots: gauges, counters, and summaries as samples.
fn as_json(text: &str) -> Value {
    let (mut gauges, mut counters) = (Vec::new(), Vec::new());
    let mut samples: BTreeMap<(String, String), Map<String, Value>> = BTreeMap::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            kind = declared.rsplit(' ').next().unwrap_or_default();
            continue;
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels.trim_end_matches('}')));
        let mut labels: Map<String, Value> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(key, value)| (key.to_owned(), json!(value.trim_matches('"'))))
            .collect();
        match kind {
            "gauge" => gauges.push(json!({"Name": dotted(name), "Value": value, "Labels": labels})),
            "counter" => counters.push(json!({"Name": dotted(name), "Count": value, "Sum": value, "Labels": labels})),
            _ => {
                let quantile = labels.remove("quantile");
                let (base, field) =
                    match (quantile.as_ref().and_then(Value::as_str), name.strip_suffix("_sum"), name.strip_suffix("_count")) {
                        (Some("0"), ..) => (name, "Min"),
                        (Some("1"), ..) => (name, "Max"),
                        (None, Some(base), _) => (base, "Sum"),
                        (None, _, Some(base)) => (base, "Count"),
                        _ => continue,
                    };
                let sample = samples.entry((base.to_owned(), Value::Object(labels.clone()).to_string())).or_default();
                sample.insert("Name".to_owned(), json!(dotted(base)));
                sample.insert("Labels".to_owned(), Value::Object(labels));
                sample.insert(field.to_owned(), json!(value));
            }
        }
    }
    let samples: Vec<Value> = samples
        .into_values()
        .map(|mut sample| {
            let of = |field: &str| sample.get(field).and_then(Value::as_f64).unwrap_or(0.0);
            let mean = if of("Count") > 0.0 { of("Sum") / of("Count") } else { 0.0 };
            sample.insert("Mean".to_owned(), json!(mean));
            Value::Object(sample)
        })
        .collect();
    json!({"Timestamp": "", "Gauges": gauges, "Points": [], "Counters": counters, "Samples": samples})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_becomes_json() {
        let text = "# HELP a b\n# TYPE a gauge\na{x=\"1\",y=\"2\"} 3\n\n# TYPE c counter\nc 4\n# TYPE d summary\nd{quantile=\"0\"} 0.1\nd{quantile=\"0.5\"} 0.2\nd{quantile=\"1\"} 0.4\nd_sum 0.5\nd_count 2\n";
        let got = as_json(text);
        assert_eq!(got["Gauges"], json!([{"Name": "a", "Value": 3.0, "Labels": {"x": "1", "y": "2"}}]));
        assert_eq!(got["Counters"][0]["Count"], json!(4.0));
        assert_eq!(got["Samples"], json!([{"Name": "d", "Labels": {}, "Min": 0.1, "Max": 0.4, "Sum": 0.5, "Count": 2.0, "Mean": 0.25}]));
    }
}
