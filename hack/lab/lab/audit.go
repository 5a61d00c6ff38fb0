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
// running cluster consists of, but for the coordinator's. It keeps the deleted
// pod with every delete of one, and the node with every change of one.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
  - RequestReceived
rules:
  - level: Metadata
    users: ["system:serviceaccount:rebound-system:rebound-coordinator"]
    resources:
      - group: coordination.k8s.io
        resources: [leases]
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
  - level: RequestResponse
    verbs: [create, update, patch]
    resources:
      - group: ""
        resources: [nodes]
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
	// Group, Resource, Subresource, Namespace and Name say of what.
	Group       string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	// URI is the request as it came.
	URI string
	// Code is the HTTP status of the answer.
	Code int32
	// Unauthorized says that the user has no right to it. Admission may answer with
	// the same code.
	Unauthorized bool
	// Pod is the pod as the API server has deleted it; set when a pod was
	// deleted, by name and with success.
	Pod *corev1.Pod
	// Node is the node as the API server has left it; set when the request changed
	// a node other than its status, with success.
	Node *corev1.Node
}

// DeletesPod says whether the request deleted a pod, an eviction excluded.
func (record AuditRecord) DeletesPod() bool {
	return record.Verb == "delete" && record.Resource == "pods" && record.Subresource == "" && record.Code < 300
}

// Evicts says whether the request evicted a pod.
func (record AuditRecord) Evicts() bool {
	return record.Verb == "create" && record.Resource == "pods" && record.Subresource == "eviction" && record.Code < 300
}

// changesNode says whether the request changed a node, its status excluded.
func (record AuditRecord) changesNode() bool {
	return record.Resource == "nodes" && record.Subresource == "" && record.Code < 300 &&
		(record.Verb == "create" || record.Verb == "update" || record.Verb == "patch")
}

// Audit returns what the API server's audit log has at the moment. A request
// is there once its answer has been sent; a watch is there once it has begun.
func (lab *Lab) Audit() ([]AuditRecord, error) { return lab.FollowAudit().Next() }

// AuditFollower reads the audit log as it grows. It is not for concurrent use.
type AuditFollower struct {
	path string
	// offset is where the next line begins that was not read yet.
	offset int64
}

// NewAuditFollower returns a follower of the audit log at path that has read
// nothing.
func NewAuditFollower(path string) *AuditFollower { return &AuditFollower{path: path} }

// FollowAudit returns a follower of the lab's audit log that has read nothing.
func (lab *Lab) FollowAudit() *AuditFollower { return NewAuditFollower(lab.auditLog()) }

// Next returns what has come to the audit log since it was called last, see
// [Lab.Audit]. After an error, it returns the same once more.
func (follower *AuditFollower) Next() ([]AuditRecord, error) {
	file, err := os.Open(follower.path)
	if err != nil {
		return nil, fmt.Errorf("failed to open audit log: %w", err)
	}

	defer file.Close() //nolint:errcheck // only read from

	if _, err = file.Seek(follower.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("failed to go on in audit log: %w", err)
	}

	var records []AuditRecord

	for decoder := json.NewDecoder(file); ; {
		var event auditv1.Event

		before := decoder.InputOffset()

		if err = decoder.Decode(&event); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			// A line without its end is being written.
			follower.offset += before

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
		// The key is the API server's own (k8s.io/apiserver, pkg/endpoints/filters/authorization.go).
		Unauthorized: event.Annotations["authorization.k8s.io/decision"] == "forbid",
	}

	if ref := event.ObjectRef; ref != nil {
		record.Group = ref.APIGroup
		record.Resource = ref.Resource
		record.Subresource = ref.Subresource
		record.Namespace = ref.Namespace
		record.Name = ref.Name
	}

	if status := event.ResponseStatus; status != nil {
		record.Code = status.Code
	}

	var err error

	switch {
	case record.DeletesPod():
		record.Pod, err = responseOf[corev1.Pod](event, "Pod")
	case record.changesNode():
		record.Node, err = responseOf[corev1.Node](event, "Node")
	}

	return record, err
}

// responseOf returns the object that the API server has answered with, or nil if
// it was of another kind.
func responseOf[T any](event *auditv1.Event, kind string) (*T, error) {
	if event.ResponseObject == nil || !bytes.Contains(event.ResponseObject.Raw, []byte(`"kind":"`+kind+`"`)) {
		return nil, nil //nolint:nilnil // as said
	}

	object := new(T)

	if err := json.Unmarshal(event.ResponseObject.Raw, object); err != nil {
		return nil, fmt.Errorf("failed to decode a %s in audit log: %w", kind, err)
	}

	return object, nil
}

func (lab *Lab) auditLog() string { return lab.path("log", "audit.jsonl") }
