// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// deletePod deletes exactly the pod that was seen: its UID is a precondition.
func (c *Client) deletePod(ctx context.Context, pod recovery.Pod) error {
	uid := types.UID(pod.UID)

	_, err := request(ctx, fmt.Sprintf("failed to delete pod %q", pod.Namespace+"/"+pod.Name), func(ctx context.Context) (struct{}, error) {
		// Not the typed client: it would send the delete again by itself when the server says "later", without a look at the Node.
		return struct{}{}, c.core.RESTClient().Delete().
			Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
			Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}).
			MaxRetries(0).
			Do(ctx).Error()
	})

	return err
}
