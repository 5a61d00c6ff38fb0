// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// watcherKubeconfig writes a kubeconfig of a user who may list and watch Nodes,
// and nothing else, and returns its path.
func (s *scenario) watcherKubeconfig() string {
	name := s.name + "-watcher"
	rbac := s.cluster.Client().RbacV1()
	meta := metav1.ObjectMeta{Name: name}

	_, err := rbac.ClusterRoles().Create(s.ctx, &rbacv1.ClusterRole{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	_, err = rbac.ClusterRoleBindings().Create(s.ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)

	config, err := clientcmd.LoadFromFile(s.cluster.Kubeconfig())
	require.NoError(s.t, err)

	for _, user := range config.AuthInfos {
		user.Impersonate = name
	}

	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	require.NoError(s.t, clientcmd.WriteToFile(*config, path))

	return path
}

// TestHealthByKubeconfigWaitsForThePresentBoot has a node reboot whose agent
// does not come back at first: what it said before must not pass.
func TestHealthByKubeconfigWaitsForThePresentBoot(t *testing.T) {
	t.Parallel()

	kubeadm, err := platform.Lookup(platform.Kubeadm, "")
	require.NoError(t, err)

	for name, poll := range map[string]bool{"watching": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t, "outside-"+name)
			node := s.addNode("", withAgent(t, platform.Kubeadm))
			s.apply("cni")
			s.awaitReady()

			recovered := func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered }
			node.awaitReport(recovered)
			before := node.BootID()

			access := cli.Access{Kubeconfig: s.watcherKubeconfig()}
			require.NoError(t, s.startHealth(cli.HealthOptions{Access: access}).wait())

			require.NoError(t, node.Stop(s.ctx))

			check := s.startHealth(cli.HealthOptions{Access: access, Poll: poll})
			check.await(node.Name() + ": its Node is not Ready: ")

			manifest, away := filepath.Join(node.Root(), kubeadm.Manifests, "rebound.yaml"), filepath.Join(node.Root(), "rebound.yaml")
			require.NoError(t, os.Rename(manifest, away))
			require.NoError(t, node.Start(s.ctx))
			check.await(node.Name() + ": its report is of an earlier boot\n")

			object, err := s.cluster.Client().CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})
			require.NoError(t, err)
			assert.Contains(t, object.Annotations[specs.NodeAnnotation], before)
			assert.Equal(t, corev1.ConditionTrue, conditionOf(object, specs.NodeCondition), "it is True, and of another boot")

			require.NoError(t, os.Rename(away, manifest))
			require.NoError(t, check.wait())
			assert.True(t, strings.HasSuffix(check.String(), "waiting for DaemonSet pods to recover: OK\n1 node recovered\n"), check.String())

			report, _ := node.awaitReport(recovered)
			assert.NotEqual(t, before, report.BootID)
		})
	}
}

func conditionOf(node *corev1.Node, kind corev1.NodeConditionType) corev1.ConditionStatus {
	for _, condition := range node.Status.Conditions {
		if condition.Type == kind {
			return condition.Status
		}
	}

	return ""
}

// TestStatusFromOutside runs the binary that is released.
func TestStatusFromOutside(t *testing.T) {
	s := newScenario(t, "status")
	node := s.addNode("", withAgent(t, platform.K3s))
	s.apply("cni")
	s.awaitReady()
	s.suspendBackOff()
	s.reboot()
	node.awaitReport(func(report specs.NodeReport) bool { return report.Phase == specs.PhaseRecovered })

	output := run(s.ctx, t, "status", "--kubeconfig", s.watcherKubeconfig(), "-n", node.Name())
	assert.Regexp(t, `\n`+regexp.QuoteMeta(node.Name())+` +\S+ +passed +recovered +- +- +- +DaemonSets: 1 recovered\n$`, output)

	output = run(s.ctx, t, "status", "--socket", node.AgentSocket())
	assert.Regexp(t, `\n`+regexp.QuoteMeta(node.Name())+` +- +passed +recovered +1 +1 +1 +DaemonSets: 1 recovered\n`, output)
	assert.Regexp(t, `\n`+regexp.QuoteMeta(s.name)+`/cni +recovered +cni-\S+ +\S+ +1 +cni-\S+ +-\n$`, output)
}

// run returns what rebound prints.
func run(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()

	binary, err := rebound()
	require.NoError(t, err)

	var stderr strings.Builder

	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = &stderr

	output, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	return string(output)
}
