// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured

import (
	"os"
	"slices"

	"github.com/talos-rebound/rebound/hack/lab/component"
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

// start starts the program in the account, with its log at path. It ends with
// this process, however that ends.
func (account account) start(env []string, path string, say func(line string), program string, args ...string) (*component.Process, error) {
	env = slices.Concat(os.Environ(), env, []string{
		"KUBERNETES_SERVICE_HOST=" + account.host,
		"KUBERNETES_SERVICE_PORT=" + account.port,
	})

	return component.FollowProgram(say, unshareName, account.folder, path, env,
		slices.Concat(namespaces(), []string{"sh", "-c", stage, "sh", account.folder, program}, args)...)
}
