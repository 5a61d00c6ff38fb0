// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// canaries are secrets that are somewhere where they have to be, by what they are.
type canaries map[string]string

// found returns which of them a text has.
func (c canaries) found(text string) []string {
	var found []string

	for name, secret := range c {
		if strings.Contains(text, secret) {
			found = append(found, name)
		}
	}

	return found
}

// TestRebootTellsNobodyASecret has a node with rebound in machined and one with
// the agent recover, and the second one blocked before. Then it looks for secrets
// in all that readers can see. There is no more that a log could have: neither
// program has a flag for a more verbose one.
func TestRebootTellsNobodyASecret(t *testing.T) {
	s := newStage(t, "canary", 0, worker, part{options: []lab.NodeOption{withRebound()}, agentless: true})
	agent, machined := s.nodes[0], s.nodes[1]

	const environment, password = "canary-in-the-environment-of-a-pod", "canary-in-a-url"

	planted := lab.PodOption(func(template *corev1.PodTemplateSpec) {
		template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "TOKEN", Value: environment}}
	})
	talosconfig := filepath.Join(t.TempDir(), "talosconfig")
	require.NoError(t, s.cluster.WriteTalosconfig(talosconfig, role.MakeSet(role.Operator)))
	coordinator := s.addReplica(lab.CoordinatorOptions{Args: []string{"--talosconfig=" + talosconfig}})

	daemonSet := lab.DaemonSet(s.name, "daemon", lab.NodeSelector(s.labels()))
	planted(&daemonSet.Spec.Template)
	_, err := s.cluster.ApplyDaemonSet(s.ctx, daemonSet)
	require.NoError(t, err)
	s.awaitReady()
	s.suspendBackOff()

	// Of a reboot that is blocked, with what a tool on the host says of itself.
	s.run(lab.Deployment(s.name, app, 1, lab.OnNode(agent.Name()), planted), 1)
	s.limitDisruptions(0)
	list := "kernel from https://user:" + password + "@mirror.example.org/\n"
	require.NoError(t, os.WriteFile(filepath.Join(agent.Root(), "run", "reboot-required.pkgs"), []byte(list), 0o600))
	s.ask(agent)
	s.awaitPhase(agent, v1alpha1.PhasePending, reboot.ReasonBlocked)

	require.NoError(t, machined.Reboot(s.ctx))
	machined.awaitPhase(specs.PhaseRecovered)

	blocked := s.reboots()
	s.free()
	s.awaitRebooted(agent)

	secrets := canaries{"pod env": environment, "password of a URL": password, "key of a talosconfig": talosKey(t, talosconfig)}
	secrets["token of the coordinator"], _ = credentials(t, filepath.Join(s.cluster.Folder(), coordinator.Name()+".kubeconfig"))

	for _, node := range s.nodes {
		_, secrets["key of "+node.Name()] = credentials(t, node.KubeconfigPath())
	}

	for name, secret := range secrets {
		require.Greater(t, len(secret), 10, name)
	}

	// It finds what is there to be found.
	pods, err := json.Marshal(s.pods())
	require.NoError(t, err)
	assert.Equal(t, []string{"pod env"}, secrets.found(string(pods)))

	content, err := os.ReadFile(talosconfig)
	require.NoError(t, err)
	assert.Equal(t, []string{"key of a talosconfig"}, secrets.found(string(content)))
	assert.Equal(t, []string{"password of a URL"}, secrets.found(list))

	seen := s.seen(agent, machined, coordinator)
	seen["the NodeReboots while one is blocked"] = blocked

	assert.Contains(t, seen["the NodeReboots"], "https://mirror.example.org/", "what the tool says is shown")
	assert.Contains(t, seen["the events"], "DeletedFailedPod")
	assert.Contains(t, seen["the resources of "+machined.Name()], "recovered")

	for what, text := range seen {
		assert.Greater(t, len(text), 20, what)
		assert.Empty(t, secrets.found(text), what)
	}
}

// seen is all that readers can see, by what it is.
func (s *stage) seen(agent, machined *node, coordinator *lab.Coordinator) map[string]string {
	s.t.Helper()

	seen := map[string]string{"the NodeReboots": s.reboots()}
	keep := func(what, text string, err error) {
		require.NoError(s.t, err, what)

		seen[what] = text
	}

	for what, path := range map[string]string{"the Nodes": "/api/v1/nodes", "the events": "/api/v1/events", "the Leases": "/apis/coordination.k8s.io/v1/leases"} {
		content, err := s.cluster.Client().CoreV1().RESTClient().Get().AbsPath(path).Do(s.ctx).Raw()
		keep(what, string(content), err)
	}

	for _, node := range s.nodes {
		st, err := node.Recovery()
		require.NoError(s.t, err)

		status, err := safe.StateGetByID[*recovery.RecoveryStatus](s.ctx, st, recovery.RecoveryStatusID)
		require.NoError(s.t, err)

		records, err := safe.StateListAll[*recovery.DaemonSetRecovery](s.ctx, st)
		require.NoError(s.t, err)

		text, err := json.Marshal(status.TypedSpec())
		for record := range records.All() {
			more, _ := json.Marshal(record.TypedSpec())
			text = append(text, more...)
		}

		keep("the resources of "+node.Name(), string(text), err)

		var out bytes.Buffer

		if node == agent {
			err = cli.Status(s.ctx, cli.StatusOptions{Socket: agent.AgentSocket(), Output: cli.FormatJSON}, &out)
			keep("rebound status --socket", out.String(), err)
		}
	}

	log, err := agent.AgentLog()
	keep("the log of the agent", log, err)
	log, err = machined.Log()
	keep("the log of machined's controllers", log, err)
	log, err = coordinator.Log()
	keep("the log of the coordinator", log, err)

	keep("the metrics of the agent", s.scrape(agent.AgentMetrics()), nil)
	keep("the metrics of the coordinator", s.scrape(coordinator.MetricsURL()), nil)

	for _, format := range []cli.Format{cli.FormatText, cli.FormatJSON} {
		var out bytes.Buffer

		access := cli.KubeAccess{Kubeconfig: s.cluster.Kubeconfig()}
		err := cli.RebootStatus(s.ctx, cli.RebootStatusOptions{Access: access, Output: format}, &out)
		keep("rebound reboot status -o "+string(format), out.String(), err)

		out.Reset()

		err = cli.Status(s.ctx, cli.StatusOptions{Access: cli.Access{Kubeconfig: s.cluster.Kubeconfig()}, Output: format}, &out)
		keep("rebound status -o "+string(format), out.String(), err)
	}

	return seen
}

// reboots are the objects of reboots, as kubectl gets them.
func (s *stage) reboots() string {
	s.t.Helper()

	var text strings.Builder

	for _, resource := range []string{v1alpha1.ResourceNodeReboots, v1alpha1.ResourceRebootBudgets, v1alpha1.ResourceRebootPolicies} {
		content, err := s.cluster.Reboots().Get().Resource(resource).Do(s.ctx).Raw()
		require.NoError(s.t, err)
		text.Write(content)
	}

	return text.String()
}

func (s *stage) scrape(url string) string {
	s.t.Helper()

	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, http.NoBody)
	require.NoError(s.t, err)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	response, err := client.Do(request)
	require.NoError(s.t, err)

	defer response.Body.Close() //nolint:errcheck // only read from

	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)

	return string(content)
}

// credentials returns the token of a kubeconfig and a line of its client's key.
func credentials(t *testing.T, path string) (token, key string) {
	t.Helper()

	config, err := clientcmd.BuildConfigFromFlags("", path)
	require.NoError(t, err)

	if config.KeyFile != "" {
		config.KeyData, err = os.ReadFile(config.KeyFile)
		require.NoError(t, err)
	}

	return config.BearerToken, lineOf(t, config.KeyData)
}

// lineOf returns the first line of the last thing in a PEM file that is no
// certificate; nothing if there is none.
func lineOf(t *testing.T, content []byte) string {
	t.Helper()

	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return strings.Split(string(pem.EncodeToMemory(block)), "\n")[1]
		}
	}

	return ""
}

// talosKey is the key in a talosconfig, as it is there.
func talosKey(t *testing.T, path string) string {
	t.Helper()

	file, err := config.Open(path)
	require.NoError(t, err)

	return file.Contexts[file.Context].Key
}
