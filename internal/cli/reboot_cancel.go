// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/internal/kubereboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// CancelReboot cancels the reboots of nodes that were not granted yet, of none if one of them was not asked for. What became
// of each is printed to out. ExitCode tells the exit code of the error.
func CancelReboot(ctx context.Context, access KubeAccess, names []string, out io.Writer) error {
	nodes, err := nodeNames(names)
	if err != nil {
		return err
	}

	client, err := access.open()
	if err != nil {
		return err
	}

	defer client.Close()

	present, err := readReboots(ctx, client)
	if err != nil {
		return err
	}

	var missing []string

	for _, node := range nodes {
		if present[node] == nil {
			missing = append(missing, node)
		}
	}

	if len(missing) > 0 {
		return fmt.Errorf("no reboot is asked for of %s; nothing was cancelled", strings.Join(missing, ", "))
	}

	var errs []error

	for _, node := range nodes {
		said, err := cancelOne(ctx, client, node, present[node])
		if err != nil {
			errs = append(errs, rebootError(ctx, err))

			continue
		}

		fmt.Fprintf(out, "%s: %s\n", node, said)
	}

	return errors.Join(errs...)
}

// cancelOne cancels one reboot and returns what to tell about it.
func cancelOne(ctx context.Context, client *kubereboot.Client, node string, current *v1alpha1.NodeReboot) (said string, err error) {
	object, err := client.Node(ctx, node)
	if err != nil {
		return "", err
	}

	_, err = client.Settle(ctx, node, current, func(current *v1alpha1.NodeReboot) (wanted *v1alpha1.NodeReboot, err error) {
		wanted, said, err = cancel(node, current, isWished(object))

		return wanted, err
	})

	return said, err
}

// isWished tells whether the node itself wants to be rebooted, as far as it has said so in its present boot.
func isWished(node *corev1.Node) bool {
	if node == nil {
		return false
	}

	report, err := v1alpha1.ParseAgentReport(node.Annotations[v1alpha1.AgentAnnotation])

	return err == nil && report.Wanted && report.BootID == node.Status.NodeInfo.BootID
}
