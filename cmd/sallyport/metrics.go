package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sallyport/sallyport/proxy"
)

// newMetrics makes the registry with what is known of the process as a whole. What
// sessions do the proxy counts.
func newMetrics(s *proxy.Services) *prometheus.Registry {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_build_info", Help: "Always 1.",
			ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 }),
		gauge("sallyport_policy_generation", "How many bundles were put into use so far; 0: none, and everything is refused.",
			func() float64 { return float64(s.Policy.Generation()) }),
		gauge("sallyport_policy_refused", "1 while the newest bundle is refused and an older one, or none, is in use. Is an alarm.",
			func() float64 { return one(s.Policy.Status().Error != "") }),
		gauge("sallyport_audit_writable", "0 while records cannot be written, and everything is refused. Is an alarm.",
			func() float64 { return one(s.Audit.Ready() == nil) }),
		gauge("sallyport_keys_present", "1 while the keys of every issuer are there and young enough.",
			func() float64 { return one(s.Identity.Ready() == nil) }),
	)
	return r
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
