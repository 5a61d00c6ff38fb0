// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

// openBackoff prepares a connection. It sends nothing yet, so an error is one of the configuration.
func (access KubeAccess) openBackoff() (*kubebackoff.Client, error) {
	return kubebackoff.Open(access.Kubeconfig, access.KubeContext)
}

// backoffScope checks --daemonset and --node.
func backoffScope(daemonSet, node string) (kubebackoff.Scope, error) {
	if daemonSet != "" {
		parts := strings.Split(daemonSet, "/")
		if len(parts) < 2 || len(parts) > 3 || !areNames(parts) {
			return kubebackoff.Scope{}, fmt.Errorf("--daemonset %q is not of the form namespace/name (or namespace/group/name, for other DaemonSets than those of Kubernetes)", daemonSet)
		}
	}

	if node != "" && !areNames([]string{node}) {
		return kubebackoff.Scope{}, fmt.Errorf("--node: %q cannot be the name of a Node", node)
	}

	return kubebackoff.Scope{DaemonSet: daemonSet, Node: node}, nil
}

func areNames(texts []string) bool {
	for _, text := range texts {
		if len(validation.IsDNS1123Subdomain(text)) > 0 {
			return false
		}
	}

	return true
}

// encode prints a result for scripts.
func encode(out io.Writer, result any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)

	if err := encoder.Encode(result); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}
