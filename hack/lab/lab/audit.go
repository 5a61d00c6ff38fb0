// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditPolicy keeps every request, without the requests for leases that a
// running cluster consists of, and the deleted pod with every delete of one.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
  - RequestReceived
rules:
  - level: None
    resources:
      - group: coordination.k8s.io
        resources: [leases]
  - level: None
    nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/openapi/*", "/api*", "/version"]
  - level: RequestResponse
    verbs: [delete, deletecollection]
    resources:
      - group: ""
        resources: [pods]
  - level: Metadata
`

// AuditRecord is a request that the API server has answered.
type AuditRecord struct {
	// Time is when the request was received.
	Time time.Time
	// User and UserAgent say who asked.
	User      string
	UserAgent string
	// Verb is what was asked for: get, list, watch, create, update, patch,
	// delete, deletecollection.
	Verb string
	// Resource, Subresource, Namespace and Name say of what.
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	// URI is the request as it came.
	URI string
	// Code is the HTTP status of the answer.
	Code int32
	// Pod is the pod as the API server has deleted it; set when a pod was
	// deleted, by name and with success.
	Pod *corev1.Pod
}

// DeletesPod says whether the request deleted a pod, an eviction excluded.
func (record AuditRecord) DeletesPod() bool {
	return record.Verb == "delete" && record.Resource == "pods" && record.Subresource == "" && record.Code < 300
}

// Audit returns what the API server's audit log has at the moment. A request
// is there once its answer has been sent; a watch is there once it has begun.
func (lab *Lab) Audit() ([]AuditRecord, error) {
	file, err := os.Open(lab.auditLog())
	if err != nil {
		return nil, fmt.Errorf("failed to open audit log: %w", err)
	}

	defer file.Close() //nolint:errcheck // only read from

	var records []AuditRecord

	for decoder := json.NewDecoder(file); ; {
		var event auditv1.Event

		if err = decoder.Decode(&event); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			// A line without its end is being written.
			return records, nil
		}

		if err != nil {
			return nil, fmt.Errorf("failed to decode audit log: %w", err)
		}

		// A watch is logged when it begins and when it ends.
		if event.Verb == "watch" && event.Stage == auditv1.StageResponseComplete && event.ResponseStatus != nil && event.ResponseStatus.Code < 300 {
			continue
		}

		record, err := newAuditRecord(&event)
		if err != nil {
			return nil, err
		}

		records = append(records, record)
	}
}

func newAuditRecord(event *auditv1.Event) (AuditRecord, error) {
	record := AuditRecord{
		Time:      event.RequestReceivedTimestamp.Time,
		User:      event.User.Username,
		UserAgent: event.UserAgent,
		Verb:      event.Verb,
		URI:       event.RequestURI,
	}

	if ref := event.ObjectRef; ref != nil {
		record.Resource = ref.Resource
		record.Subresource = ref.Subresource
		record.Namespace = ref.Namespace
		record.Name = ref.Name
	}

	if status := event.ResponseStatus; status != nil {
		record.Code = status.Code
	}

	if record.DeletesPod() && event.ResponseObject != nil && bytes.Contains(event.ResponseObject.Raw, []byte(`"kind":"Pod"`)) {
		record.Pod = &corev1.Pod{}

		if err := json.Unmarshal(event.ResponseObject.Raw, record.Pod); err != nil {
			return AuditRecord{}, fmt.Errorf("failed to decode pod in audit log: %w", err)
		}
	}

	return record, nil
}

func (lab *Lab) auditLog() string { return lab.path("log", "audit.jsonl") }
