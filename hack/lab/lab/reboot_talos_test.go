// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// TestRebootThroughTheTalosAPI has the talosconfig replaced in the file that the
// coordinator was started with, as a Secret is. Nothing is done to the node
// while it cannot be used.
func TestRebootThroughTheTalosAPI(t *testing.T) {
	s := newStage(t, "talos", 0, stock)
	node := s.nodes[0]
	talosconfig := filepath.Join(t.TempDir(), "talosconfig")

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Reboot.Method = v1alpha1.MethodTalosAPI })
	s.apply(&v1alpha1.NodeReboot{ObjectMeta: metav1.ObjectMeta{Name: node.Name()}, Spec: v1alpha1.NodeRebootSpec{Reason: "a new kernel"}})

	with := lab.CoordinatorOptions{Args: []string{"--talosconfig=" + talosconfig}}
	awaitBlocked := func(words string) {
		t.Helper()
		s.awaitReboot(node, func(r *v1alpha1.NodeReboot) bool {
			return r.Status.Reason == string(reboot.ReasonBlocked) && strings.Contains(r.Status.Message, words)
		})
	}

	require.NoError(t, s.cluster.WriteTalosconfig(talosconfig, role.MakeSet(role.Reader)))
	reader := s.addReplica(with)
	awaitBlocked("os:operator")
	require.NoError(t, reader.Stop())

	require.NoError(t, os.WriteFile(talosconfig, []byte("context: nowhere\n"), 0o600))
	s.addReplica(with)
	awaitBlocked("has no contexts")
	assert.Zero(t, s.witness.Cordoned(node.Name()))

	require.NoError(t, s.cluster.WriteTalosconfig(talosconfig, role.MakeSet(role.Operator)))
	s.awaitRebooted(node)
}
