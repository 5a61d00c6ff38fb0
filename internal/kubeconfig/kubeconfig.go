// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kubeconfig finds a cluster in the kubeconfig of whoever runs a command. Its errors name the flags to mend them with.
// It is not for what runs on a node, which has the kubelet's files.
package kubeconfig

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/pkg/check"
)

// Load makes a configuration of a context in the kubeconfig at path; an empty context means the one that the file calls
// current. It reads that file and nothing else: neither other files nor the service account of a pod. With an empty path it
// reads the files that kubectl does: those in $KUBECONFIG, else ~/.kube/config.
func Load(path, context string) (*rest.Config, error) {
	path, file, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read kubeconfig %q: %s; name another with --kubeconfig", path, check.OneLine(err.Error()))
	}

	chosen := cmp.Or(context, file.CurrentContext)

	switch {
	case len(file.Contexts) == 0:
		return nil, fmt.Errorf("kubeconfig %q has no contexts; name another with --kubeconfig", path)
	case chosen == "":
		return nil, fmt.Errorf("kubeconfig %q has no current context; choose one with --kube-context: %s", path, quoted(file.Contexts))
	case file.Contexts[chosen] == nil:
		return nil, fmt.Errorf("context %q is not in kubeconfig %q, which has %s; choose one with --kube-context", chosen, path, quoted(file.Contexts))
	}

	config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{CurrentContext: chosen}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %q of kubeconfig %q cannot be used: %s", chosen, path, check.OneLine(err.Error()))
	}

	return config, nil
}

// read returns what was read, and from where.
func read(path string) (string, *clientcmdapi.Config, error) {
	if path == "" {
		// The default rules would also move a file of Kubernetes 0.x to where it belongs now.
		rules := &clientcmd.ClientConfigLoadingRules{Precedence: clientcmd.NewDefaultClientConfigLoadingRules().Precedence}
		file, err := rules.Load()

		return strings.Join(rules.Precedence, string(filepath.ListSeparator)), file, err
	}

	file, err := clientcmd.LoadFromFile(path)
	if err == nil {
		err = clientcmd.ResolveLocalPaths(file)
	}

	return path, file, err
}

// quoted are the names of the contexts, as they are shown.
func quoted[T any](contexts map[string]T) string {
	names := slices.Sorted(maps.Keys(contexts))
	for i, name := range names {
		names[i] = fmt.Sprintf("%q", name)
	}

	return strings.Join(names, ", ")
}
