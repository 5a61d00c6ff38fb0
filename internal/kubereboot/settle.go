// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// maxAttempts is how often a NodeReboot is written before somebody else is left the last word.
const maxAttempts = 10

// Decide says what is to become of a NodeReboot, of which nil means that there is none. It must leave current alone. Its
// error is passed on.
type Decide func(current *v1alpha1.NodeReboot) (wanted *v1alpha1.NodeReboot, err error)

// Settle makes the NodeReboot of that name what decide wants: it is created, deleted, or given another spec and other labels.
// It returns what the server made of it, nil if it was deleted.
//
// Current is what was last seen. Nothing is written over what came after: then decide is asked again, with what is there now.
func (c *Client) Settle(ctx context.Context, name string, current *v1alpha1.NodeReboot, decide Decide) (*v1alpha1.NodeReboot, error) {
	for attempt := 1; ; attempt++ {
		wanted, err := decide(current)
		if err != nil {
			return current, err
		}

		settled, err := c.write(ctx, name, current, wanted)
		if !isOutdated(err) || attempt == maxAttempts {
			return settled, err
		}

		if current, err = c.nodeReboot(ctx, name); err != nil {
			return nil, err
		}
	}
}

// write turns current into wanted if current is still what is there.
func (c *Client) write(ctx context.Context, name string, current, wanted *v1alpha1.NodeReboot) (*v1alpha1.NodeReboot, error) {
	switch {
	case current == nil && wanted == nil:
		return nil, nil
	case current == nil:
		return request(ctx, fmt.Sprintf("failed to create NodeReboot %q", name), func(ctx context.Context) (*v1alpha1.NodeReboot, error) {
			return c.reboots.Create(ctx, wanted, metav1.CreateOptions{})
		})
	case wanted == nil:
		return request(ctx, fmt.Sprintf("failed to delete NodeReboot %q", name), func(ctx context.Context) (*v1alpha1.NodeReboot, error) {
			return nil, c.reboots.Delete(ctx, name, metav1.DeleteOptions{
				Preconditions: &metav1.Preconditions{UID: &current.UID, ResourceVersion: &current.ResourceVersion},
			})
		})
	}

	doing := fmt.Sprintf("failed to change NodeReboot %q", name)

	patch, err := mergePatch(current, wanted)
	if err != nil {
		return nil, requestError{doing, err}
	}

	if patch == nil {
		return current, nil
	}

	return request(ctx, doing, func(ctx context.Context) (*v1alpha1.NodeReboot, error) {
		return c.reboots.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	})
}

// Pause sets whether reboots are paused, and returns the RebootBudget; nil if there is none.
func (c *Client) Pause(ctx context.Context, paused bool) (*v1alpha1.RebootBudget, error) {
	budget, err := request(ctx, "failed to change the RebootBudget", func(ctx context.Context) (*v1alpha1.RebootBudget, error) {
		// It holds whatever else is there, so it needs no version.
		return c.budgets.Patch(ctx, v1alpha1.RebootBudgetName, types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"paused":%t}}`, paused), metav1.PatchOptions{})
	})
	if isOutdated(err) {
		return nil, nil
	}

	return budget, err
}
