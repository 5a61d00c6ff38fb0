// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// MeasureTimes measures the process at the URL so many times, and returns its lives.
func MeasureTimes(ctx context.Context, name, url string, each func(i int), times int) (map[string][]Life, error) {
	s := newSampler([]process{{name, url}})

	for i := range times {
		each(i)

		if err := s.measure(ctx, s.processes[0]); err != nil {
			return s.all(), err
		}
	}

	return s.all(), nil
}

// AuditFindings judges records that come in parts.
func AuditFindings(user string, parts ...[]lab.AuditRecord) []string {
	judge := &auditJudge{user: user}

	for _, part := range parts {
		judge.see(part)
	}

	return judge.findings()
}

// Calm returns since when nothing disturbs whom, after events that begin one after
// the other and of which the last ones are still on.
func Calm(at func(i int) time.Time, events []Event, on int) map[string]time.Time {
	c := newCalm(at(-1))

	for _, event := range events {
		c.begin(event.disturbed()...)
	}

	for i, event := range events[:len(events)-on] {
		c.end(at(i), event.disturbed()...)
	}

	return c.since()
}

// Kinds returns the kinds of events.
func Kinds() []Kind {
	var kinds []Kind

	for _, rule := range rules() {
		if !slices.Contains(kinds, rule.kind) {
			kinds = append(kinds, rule.kind)
		}
	}

	return kinds
}
