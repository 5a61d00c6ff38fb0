// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
)

// namespaces are the flags that put a program into namespaces of its own: of
// mounts, for the files that a pod has, and of processes, for kured enters the
// mounts of process 1. The user's own is for those who are not root.
func namespaces() []string {
	return []string{"--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"}
}

// stage puts the account where a pod has it, and becomes the program that
// follows. Nothing of it is seen outside the namespace.
const stage = `set -eu
mount -t tmpfs tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io
ln -s "$1" /var/run/secrets/kubernetes.io/serviceaccount
shift
exec "$@"`

// process is one running kured.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// startProcess starts the program in the account. Each line that it writes goes
// to the log at path, and to say. It ends with this process, however that ends.
func startProcess(account account, env []string, path string, say func(line string), program string, args ...string) (*process, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open log of %q: %w", Name, err)
	}

	cmd := exec.Command(unshareName, slices.Concat(namespaces(), []string{"sh", "-c", stage, "sh", account.folder, program}, args)...) //nolint:noctx // stop ends it
	cmd.Env = slices.Concat(os.Environ(), env, []string{
		"KUBERNETES_SERVICE_HOST=" + account.host,
		"KUBERNETES_SERVICE_PORT=" + account.port,
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	lines, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to read from %q: %w", Name, err)
	}

	cmd.Stderr = cmd.Stdout

	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)

	go func() {
		// The kernel takes the end of the thread that starts the child for the death of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer log.Close() //nolint:errcheck // a log that is cut off is still one

		err := cmd.Start()
		started <- err

		if err != nil {
			return
		}

		for scanner := bufio.NewScanner(io.TeeReader(lines, log)); scanner.Scan(); {
			say(scanner.Text())
		}

		cmd.Wait() //nolint:errcheck // it is ended by a signal
	}()

	if err := <-started; err != nil {
		return nil, fmt.Errorf("failed to start %q: %w", Name, err)
	}

	return p, nil
}

// stop ends the process at once, as the end of a machine does, and waits until it is
// gone. Kured has no part that runs at its end.
func (p *process) stop() {
	p.cmd.Process.Kill() //nolint:errcheck // it has ended already
	<-p.ended
}
