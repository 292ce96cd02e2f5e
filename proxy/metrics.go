package proxy

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the proxy does. No label holds anything of a statement.
type metrics struct {
	decisions *prometheus.CounterVec
	sessions  prometheus.Gauge
	refusals  *prometheus.CounterVec
	results   *prometheus.CounterVec
	duration  prometheus.Histogram
	breaches  prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_decisions_total",
			Help: "Statements decided on, by effect."}, []string{"effect"}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sallyport_sessions_active",
			Help: "Sessions connected to a database."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_logins_refused_total",
			Help: "Connections refused before a session began, by SQLSTATE."}, []string{"sqlstate"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_statements_total",
			Help: "Statements run, by outcome."}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sallyport_statement_seconds",
			Help: "Time from forwarding a statement to its end.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}),
		breaches: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_fence_breaches_total",
			Help: "Results cut off because they would have shown a masked column. Any is an alarm."}),
	}
	m.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_policy_failures_total",
		Help: "Statements refused because the policies could not be evaluated."})
	r.MustRegister(m.failures, m.decisions, m.sessions, m.refusals, m.results, m.duration, m.breaches)
	return m
}

func (m *metrics) decision(effect string) { m.decisions.WithLabelValues(effect).Inc() }

func (m *metrics) result(r result) {
	outcome := "ok"
	switch {
	case r.run.cut != nil:
		outcome = "cut"
	case r.code != "":
		outcome = "error"
	}
	m.results.WithLabelValues(outcome).Inc()
	m.duration.Observe(r.ended.Sub(r.run.started).Seconds())
}
