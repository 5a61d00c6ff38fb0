// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// confine starts a program as the manifests have a container runtime start it,
// as far as that can be done to a process: with the user, without capabilities,
// without new privileges, and with a file system that it cannot write to, but
// for the folder of the node that the agent's socket is in. It says so first.
const confine = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$PWD
for arg; do case $arg in --host-root=*) root=${arg#--host-root=} ;; esac; done
export root

exec unshare --user --map-root-user --mount --propagation private -- sh -ec '
	if [ -d "$root/run" ]; then mount --bind "$root/run" "$root/run"; fi
	mount --rbind "$root" "$root"
	mount -o remount,bind,ro "$root"
	mount -o remount,bind,ro /
	%[1]s sh -ec '\''
		if touch "$root/probe" 2>/dev/null; then echo "the file system can be written to" >&2; exit 1; fi
		echo "confined: user $(id -u), $(grep -E "^(CapPrm|CapEff|NoNewPrivs):" /proc/self/status | tr -s "\t\n" "  ")" >&2
		exec %[2]q "$@"
	'\'' sh "$@"
' sh "$@"
`

const (
	// asRoot and asNobody begin a command as root without capabilities, and as the
	// user of the coordinator's image.
	asRoot   = "exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all --"
	asNobody = "exec unshare --user --map-user=65532 --map-group=65532 -- setpriv --no-new-privs --inh-caps=-all --"
)

// confined returns a program that starts another one so. It skips the test where
// the kernel does not let everybody make namespaces.
func confined(t *testing.T, as, binary string) string {
	t.Helper()

	write := func(name, binary string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, confine, as, binary), 0o700)) //nolint:gosec // it is run

		return path
	}

	try := exec.CommandContext(t.Context(), write("try", "true"))
	try.Dir = t.TempDir()

	if said, err := try.CombinedOutput(); err != nil {
		t.Skipf("this machine does not let a process confine itself with unshare and setpriv of util-linux: %v: %s", err, said)
	}

	return write("confined", binary)
}

// TestRebootByConfinedPrograms has both programs do all that they do for one
// reboot with no more than their manifests let them have. What it cannot show is
// that a container runtime does what they say.
func TestRebootByConfinedPrograms(t *testing.T) {
	binary, err := rebound()
	require.NoError(t, err)

	s := newStage(t, "confined", 0, part{binary: confined(t, asRoot, binary)})
	node := s.nodes[0]

	s.binary = confined(t, asNobody, s.binary)
	coordinator := s.addReplica(lab.CoordinatorOptions{})

	s.scenario.apply("daemon")
	s.awaitReady()
	s.suspendBackOff()
	s.ask(node)
	s.awaitRebooted(node)

	const rights = "CapPrm: 0000000000000000 CapEff: 0000000000000000 NoNewPrivs: 1"

	log, err := coordinator.Log()
	require.NoError(t, err)
	assert.Contains(t, log, "confined: user 65532, "+rights)

	log, err = node.AgentLog()
	require.NoError(t, err)
	assert.Contains(t, log, "confined: user 0, "+rights)
	assert.Contains(t, log, "deleted Failed DaemonSet pod")
}
