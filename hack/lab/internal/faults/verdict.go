// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// judge says what rebound did in the row that it must not do, by the audit log,
// and returns how many requests it has sent.
func (s *Stage) judge(records []lab.AuditRecord) (requests int, err error) {
	records = s.own(records)
	errs := []error{}

	add := func(what string, found []string) {
		if len(found) > 0 {
			errs = append(errs, fmt.Errorf("%s: %s", what, strings.Join(found, "; ")))
		}
	}

	add("rebound did what it must not do", lab.Violations(records))

	if s.Row.Half == Reboots {
		user := lab.CoordinatorAccount.User()

		add("cordons of others were removed", lab.ForeignCordonsRemoved(records, user))

		if !s.Row.Forces {
			add("pods were deleted past their budget", lab.DeletesPastBudget(records, user))
		}
	}

	if requests = s.count(records); requests > s.Row.Requests {
		errs = append(errs, fmt.Errorf("%d requests, of which %d were allowed", requests, s.Row.Requests))
	}

	return requests, errors.Join(errs...)
}

// own returns the records of the row: those since it began, without those of
// other rows' nodes.
func (s *Stage) own(records []lab.AuditRecord) []lab.AuditRecord {
	return slices.DeleteFunc(slices.Clone(records), func(record lab.AuditRecord) bool {
		node, isNode := strings.CutPrefix(record.User, lab.NodeUserPrefix)

		return record.Time.Before(s.began) || isNode && !s.has(node) || s.isStrangers(record)
	})
}

// isStrangers tells whether a request was refused before it was known whose it
// was, on a lab where it may be that of another row.
func (s *Stage) isStrangers(record lab.AuditRecord) bool {
	return s.Row.Place == Beside && record.Code == http.StatusUnauthorized
}

func (s *Stage) has(name string) bool {
	return name == s.Name || strings.HasPrefix(name, s.Name+"-")
}

// count counts the requests of what the row is about: rebound on its nodes, or
// the coordinator, without the Lease that it keeps. Where there is a proxy, it has
// seen those too that never arrived.
func (s *Stage) count(records []lab.AuditRecord) int {
	n := 0

	if s.Row.Half == Reboots {
		for _, record := range records {
			if record.User == lab.CoordinatorAccount.User() && record.Resource != "leases" {
				n++
			}
		}

		return n
	}

	sent := map[string]int{}

	for _, record := range records {
		if record.UserAgent == lab.ReboundUserAgent {
			sent[strings.TrimPrefix(record.User, lab.NodeUserPrefix)]++
		}
	}

	for _, node := range s.nodes {
		if proxy := node.Proxy(); proxy != nil {
			sent[node.Name()] = max(sent[node.Name()], proxy.Requests())
		}
	}

	for _, requests := range sent {
		n += requests
	}

	return n
}
