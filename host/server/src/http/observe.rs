//! What the log and the metrics learn about a request: never a body, a query, a header or an address.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};

/// Requests by route, method and status. Where one is counted is looked up among all metrics once, and kept from then on: there
/// are no more of these places than routes, methods and statuses.
#[derive(Default)]
pub(super) struct Figures(RwLock<HashMap<String, Vec<OfMethod>>>);

/// Requests to one route by one method.
struct OfMethod {
    method: &'static str,
    seconds: Histogram,
    by_status: Vec<(u16, Counter)>,
}

impl Figures {
    /// A request was answered.
    pub(super) fn note(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        if !self.count(route, method, status, took) {
            self.make_place(route, method, status);
            self.count(route, method, status, took);
        }
    }

    /// Counts a request where there is a place for it.
    fn count(&self, route: &str, method: &'static str, status: u16, took: Duration) -> bool {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut methods = routes.get(route).into_iter().flatten();
        let Some(known) = methods.find(|known| known.method == method) else {
            return false;
        };
        let Some((_, requests)) = known.by_status.iter().find(|(of, _)| *of == status) else {
            return false;
        };
        requests.increment(1);
        known.seconds.record(took.as_secs_f64());
        true
    }

    fn make_place(&self, route: &str, method: &'static str, status: u16) {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let methods = routes.entry(route.to_owned()).or_default();
        if !methods.iter().any(|known| known.method == method) {
            let route = route.to_owned();
            methods.push(OfMethod {
                method,
                seconds: metrics::histogram!("mihwar_http_request_seconds", "route" => route, "method" => method),
                by_status: Vec::new(),
            });
        }
        for known in methods.iter_mut().filter(|known| known.method == method) {
            if !known.by_status.iter().any(|(of, _)| *of == status) {
                known.by_status.push((status, requests(route, method, status)));
            }
        }
    }
}

fn requests(route: &str, method: &'static str, status: u16) -> Counter {
    let (route, status) = (route.to_owned(), status.to_string());
    metrics::counter!("mihwar_http_requests_total", "route" => route, "method" => method, "status" => status)
}

/// Methods can be invented by callers; metrics must not grow with them.
pub(super) fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::Figures;

    #[test]
    fn each_request_is_counted_where_its_like_are() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let figures = Figures::default();
        let route = "/api/v1/feedback";
        metrics::with_local_recorder(&recorder, || {
            for (method, status) in [("POST", 201), ("POST", 201), ("POST", 503), ("GET", 200), ("POST", 201)] {
                figures.note(route, method, status, Duration::from_millis(7));
            }
            figures.note("unmatched", "GET", 404, Duration::ZERO);
        });
        let told = recorder.handle().render();
        let count = |labels: &str| {
            let series = format!("mihwar_http_requests_total{{{labels}}} ");
            told.lines().find_map(|line| line.strip_prefix(series.as_str()))
        };
        let of =
            |method: &str, status: u16| count(&format!("route=\"{route}\",method=\"{method}\",status=\"{status}\""));
        assert_eq!(
            [of("POST", 201), of("POST", 503), of("GET", 200)],
            [Some("3"), Some("1"), Some("1")],
            "{told}"
        );
        assert_eq!(
            count("route=\"unmatched\",method=\"GET\",status=\"404\""),
            Some("1"),
            "{told}"
        );
        let took = format!("mihwar_http_request_seconds_count{{route=\"{route}\",method=\"POST\"}} 4");
        assert!(told.contains(&took), "{told}");
    }
}
