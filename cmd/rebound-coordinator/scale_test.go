// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A large cluster, half of whose nodes wait for their reboot.
const (
	largeNodes   = 5000
	largePods    = 20 // of a node
	largeBudgets = 500

	// mostResident is what the coordinator may keep of it.
	mostResident  = 500 << 20
	fewestPlans   = 5
	largePatience = 8 * time.Minute
)

// TestALargeClusterTakesLittle runs the coordinator that is released, as a process of its own, against an API server that has
// 5,000 nodes and 100,000 pods. The pods are as large as those of a real cluster, so that what the caches throw away counts.
//
// What the decision alone takes is in BenchmarkPlan of internal/reboot. The CPU time that is logged here is that of reading,
// deciding, one write and the API's answers together.
func TestALargeClusterTakesLittle(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("it takes a minute")
	}

	ctx, cancel := context.WithTimeout(t.Context(), largePatience)
	defer cancel()

	binary := filepath.Join(t.TempDir(), "rebound-coordinator")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(output))

	server := httptest.NewServer(&largeCluster{})
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)

	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: large, cluster: {server: %q}}]
contexts: [{name: large, context: {cluster: large, user: ""}}]
current-context: large
`, server.URL), 0o600))

	address := freeAddress(t)
	logs := &strings.Builder{}
	coordinator := exec.CommandContext(ctx, binary, "--kubeconfig", kubeconfig, "--leader-elect=false", "--health-listen=0", "--metrics-listen="+address)
	coordinator.Stdout, coordinator.Stderr = logs, logs

	require.NoError(t, coordinator.Start())
	t.Cleanup(func() {
		coordinator.Process.Kill() //nolint:errcheck // it may have ended
		coordinator.Wait()         //nolint:errcheck // it was killed
	})

	// The first decision writes the status of every NodeReboot. What follows is what it costs to look again.
	first := awaitUsage(ctx, t, address, func(u usage) bool { return u.waiting >= largeNodes/2 && u.decisions >= 2 })
	last := awaitUsage(ctx, t, address, func(u usage) bool { return u.decisions >= first.decisions+fewestPlans })

	perDecision := time.Duration((last.cpuSeconds - first.cpuSeconds) / (last.decisions - first.decisions) * float64(time.Second))
	t.Logf("%.0f MiB resident, %s of CPU for each of %.0f decisions", last.resident/(1<<20), perDecision, last.decisions-first.decisions)

	assert.LessOrEqual(t, last.resident, float64(mostResident))
}

func freeAddress(t *testing.T) string {
	t.Helper()

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	defer listener.Close() //nolint:errcheck // nothing was sent

	return listener.Addr().String()
}

// usage is what the coordinator says about itself.
type usage struct{ decisions, cpuSeconds, resident, waiting float64 }

// awaitUsage asks until it is as wanted.
func awaitUsage(ctx context.Context, t *testing.T, address string, wanted func(usage) bool) usage {
	t.Helper()

	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()

	var seen usage

	for {
		if now, err := readUsage(ctx, address); err == nil {
			if seen = now; wanted(seen) {
				return seen
			}
		}

		select {
		case <-ctx.Done():
			require.FailNow(t, "the coordinator did not decide", "%+v", seen)
		case <-ticker.C:
		}
	}
}

func readUsage(ctx context.Context, address string) (usage, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return usage{}, err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return usage{}, err
	}

	defer response.Body.Close() //nolint:errcheck // only read from

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return usage{}, err
	}

	total := func(name string) float64 {
		sum := 0.0
		for _, metric := range families[name].GetMetric() {
			sum += value(metric)
		}

		return sum
	}

	return usage{
		decisions: total("controller_runtime_reconcile_time_seconds"), cpuSeconds: total("process_cpu_seconds_total"),
		resident: total("process_resident_memory_bytes"), waiting: total("rebound_node_reboots"),
	}, nil
}

// value is what a metric says; of a histogram how often.
func value(metric *dto.Metric) float64 {
	if histogram := metric.GetHistogram(); histogram != nil {
		return float64(histogram.GetSampleCount())
	}

	return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
}

// largeCluster is an API server that keeps nothing: what it lists it makes up anew. A list comes in pages; a watch tells of one
// NodeReboot, again and again, so that there is something to decide.
type largeCluster struct{ version atomic.Int64 }

// collection is how many objects there are of a kind, and what one of them is like.
type collection struct {
	kind, version string
	count         int
	at            func(i int) map[string]any
}

var objects = map[string]collection{
	"nodes":                {"NodeList", "v1", largeNodes, largeNode},
	"pods":                 {"PodList", "v1", largeNodes * largePods, largePod},
	"poddisruptionbudgets": {"PodDisruptionBudgetList", "policy/v1", largeBudgets, largeBudget},
	"rebootbudgets":        {"RebootBudgetList", "reboot.rebound.dev/v1alpha1", 1, theRebootBudget},
	"rebootpolicies":       {"RebootPolicyList", "reboot.rebound.dev/v1alpha1", 1, thePolicy},
	"nodereboots":          {"NodeRebootList", "reboot.rebound.dev/v1alpha1", largeNodes / 2, largeReboot},
}

// ServeHTTP implements http.Handler.
func (c *largeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")

	query := r.URL.Query()

	switch {
	case r.Method != http.MethodGet:
		c.change(w, r)
	case query.Get("watch") != "":
		c.watch(w, r)
	case objects[path.Base(r.URL.Path)].kind != "":
		list(w, path.Base(r.URL.Path), query.Get("limit"), query.Get("continue"))
	default:
		discover(w, r.URL.Path)
	}
}

// change takes what is written for what it is.
func (c *largeCluster) change(w http.ResponseWriter, r *http.Request) {
	object := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil || object["metadata"] == nil {
		w.WriteHeader(http.StatusCreated)
		reply(w, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})

		return
	}

	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata["resourceVersion"] = strconv.FormatInt(1_000_000+c.version.Add(1), 10)
	}

	reply(w, object)
}

func (c *largeCluster) watch(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)

	name := path.Base(r.URL.Path)

	// As Kubernetes does from 1.34 on, it streams what there is, and says where that ends.
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for i := range objects[name].count {
			reply(w, map[string]any{"type": "ADDED", "object": ofKind(name, objects[name].at(i))})
		}

		reply(w, map[string]any{"type": "BOOKMARK", "object": ofKind(name, map[string]any{"metadata": map[string]any{
			"resourceVersion": "1000000", "annotations": map[string]any{metav1.InitialEventsAnnotationKey: "true"},
		}})})
	}

	http.NewResponseController(w).Flush() //nolint:errcheck // the client may have gone

	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()

	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}

		if name != "nodereboots" {
			continue
		}

		object := ofKind(name, largeReboot(0))
		object["metadata"].(map[string]any)["resourceVersion"] = strconv.FormatInt(1_000_000+c.version.Add(1), 10) //nolint:forcetypeassert // made here
		reply(w, map[string]any{"type": "MODIFIED", "object": object})
		http.NewResponseController(w).Flush() //nolint:errcheck // the client may have gone
	}
}

// ofKind says in the object what it is one of.
func ofKind(name string, object map[string]any) map[string]any {
	object["kind"], object["apiVersion"] = strings.TrimSuffix(objects[name].kind, "List"), objects[name].version

	return object
}

// list sends a page of a list.
func list(w http.ResponseWriter, name, limit, from string) {
	collection := objects[name]
	first, _ := strconv.Atoi(from)
	size, _ := strconv.Atoi(limit)
	end := collection.count

	if size > 0 {
		end = min(first+size, end)
	}

	metadata := map[string]any{"resourceVersion": "1000000"}
	if end < collection.count {
		metadata["continue"] = strconv.Itoa(end)
	}

	items := make([]any, 0, end-first)
	for i := first; i < end; i++ {
		items = append(items, collection.at(i))
	}

	reply(w, map[string]any{"kind": collection.kind, "apiVersion": collection.version, "metadata": metadata, "items": items})
}

func discover(w http.ResponseWriter, where string) {
	version := strings.TrimPrefix(strings.TrimPrefix(where, "/apis/"), "/api/")

	group := func(version string) map[string]any {
		found := map[string]any{"groupVersion": version, "version": path.Base(version)}

		return map[string]any{"name": path.Dir(version), "versions": []any{found}, "preferredVersion": found}
	}

	switch where {
	case "/api":
		reply(w, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}})
	case "/apis":
		reply(w, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{group("policy/v1"), group("reboot.rebound.dev/v1alpha1")}})
	default:
		resources := []any{}

		for name, collection := range objects {
			if collection.version == version {
				resources = append(resources, map[string]any{
					"name": name, "kind": strings.TrimSuffix(collection.kind, "List"), "namespaced": strings.HasPrefix(name, "pod"), "verbs": []string{"list", "watch"},
				})
			}
		}

		reply(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
	}
}

func reply(w http.ResponseWriter, object any) {
	json.NewEncoder(w).Encode(object) //nolint:errcheck // the client may have gone
}

func metadata(namespace, name string, labels map[string]any) map[string]any {
	made := map[string]any{
		"name": name, "uid": "uid-" + namespace + "-" + name, "resourceVersion": "1000000", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": labels,
		// Who has set which field is about as large as the object.
		"managedFields": []any{map[string]any{
			"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-02T03:04:05Z",
			"fieldsV1": map[string]any{"f:status": map[string]any{"f:" + strings.Repeat("conditions", 100): map[string]any{}}},
		}},
	}
	if namespace != "" {
		made["namespace"] = namespace
	}

	return made
}

func largeNode(i int) map[string]any {
	images := make([]any, 50)
	for j := range images {
		images[j] = map[string]any{"names": []string{fmt.Sprintf("registry.example.com/team-%d/service-%d@sha256:%064d", j, j, j)}, "sizeBytes": 1 << 27}
	}

	return map[string]any{
		"metadata": metadata("", fmt.Sprintf("node-%d", i), map[string]any{"kubernetes.io/hostname": fmt.Sprintf("node-%d", i)}),
		"status": map[string]any{
			"images": images, "nodeInfo": map[string]any{"bootID": fmt.Sprintf("boot-%d", i)},
			"conditions": []any{map[string]any{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-02T03:04:05Z"}},
		},
	}
}

func largePod(i int) map[string]any {
	environment := make([]any, 20)
	for j := range environment {
		environment[j] = map[string]any{"name": fmt.Sprintf("SETTING_%d", j), "value": strings.Repeat("x", 40)}
	}

	return map[string]any{
		"metadata": metadata("shop", fmt.Sprintf("web-%d", i), map[string]any{"app": fmt.Sprintf("web-%d", i%largeBudgets)}),
		"spec": map[string]any{
			"nodeName":   fmt.Sprintf("node-%d", i/largePods),
			"containers": []any{map[string]any{"name": "web", "image": "registry.example.com/web:1", "env": environment}},
		},
		"status": map[string]any{
			"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}},
		},
	}
}

func largeBudget(i int) map[string]any {
	return map[string]any{
		"metadata": metadata("shop", fmt.Sprintf("web-%d", i), nil),
		"spec":     map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": fmt.Sprintf("web-%d", i)}}},
		// It allows nothing, so that every pod is looked at.
		"status": map[string]any{"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
	}
}

func thePolicy(int) map[string]any {
	return map[string]any{"metadata": metadata("", "all", nil), "spec": map[string]any{
		"nodeSelector": map[string]any{}, "maxUnavailable": 1, "cooldown": "1h", "drain": map[string]any{"timeout": "5m", "onBlocked": "GiveUp"},
		"reboot": map[string]any{"method": "Auto", "delay": "0s", "timeout": "15m"}, "gates": map[string]any{"settle": "30s"},
	}}
}

func theRebootBudget(int) map[string]any {
	return map[string]any{"metadata": metadata("", "default", nil), "spec": map[string]any{"maxUnavailable": 50}}
}

func largeReboot(i int) map[string]any {
	return map[string]any{"metadata": metadata("", fmt.Sprintf("node-%d", i), nil), "spec": map[string]any{"reason": "a new kernel"}}
}
