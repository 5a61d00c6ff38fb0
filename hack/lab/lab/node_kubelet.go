// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"fmt"
	"syscall"
)

// KubeletPID returns the process id of the node's kubelet, which changes when that
// is started again. The error wraps fs.ErrNotExist if none runs.
func (node *Node) KubeletPID() (int, error) { return node.config.Root.ReadKubeletPID() }

// KillKubelet ends the kubelet at once, as the kernel does when it is out of
// memory, and returns before the machine has noticed. The machine starts it again
// after five seconds, as Talos does. Containers go on meanwhile.
func (node *Node) KillKubelet() error { return node.signalKubelet(syscall.SIGKILL) }

// FreezeKubelet makes the kubelet hang: it runs, keeps its connections, and does
// nothing, until ThawKubelet or its end.
func (node *Node) FreezeKubelet() error { return node.signalKubelet(syscall.SIGSTOP) }

// ThawKubelet lets a kubelet that hangs go on.
func (node *Node) ThawKubelet() error { return node.signalKubelet(syscall.SIGCONT) }

func (node *Node) signalKubelet(signal syscall.Signal) error {
	pid, err := node.KubeletPID()
	if err == nil {
		err = syscall.Kill(pid, signal)
	}

	if err != nil {
		return fmt.Errorf("failed to send %q to the kubelet of node %q: %w", signal, node.name, err)
	}

	return nil
}
