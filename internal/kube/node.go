// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BootID returns the boot id that the kubelet last posted to the Node. A Node that exists but has none yet gives "".
func (c *Client) BootID(ctx context.Context, node string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	object, err := c.core.Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("failed to read node %q: %w", node, err)
	}

	return object.Status.NodeInfo.BootID, nil
}
