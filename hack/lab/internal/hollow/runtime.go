// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"context"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	criapitesting "k8s.io/cri-api/pkg/apis/testing"
)

// initDuration is how long an init container runs.
const initDuration = 200 * time.Millisecond

// runtime is a container runtime whose containers exist in name only. It keeps
// them in memory, and so loses them at a reboot as a machine does.
//
// The runtime it is made of leaves every container running until it is told to
// stop, which init containers never are. Those end with success by themselves.
type runtime struct {
	*criapitesting.FakeRuntimeService

	mu     sync.Mutex
	ending map[string]struct{}
}

func newRuntime() *runtime {
	service := criapitesting.NewFakeRuntimeService()
	service.FakeStatus = &runtimeapi.RuntimeStatus{
		Conditions: []*runtimeapi.RuntimeCondition{
			{Type: runtimeapi.RuntimeReady, Status: true},
			{Type: runtimeapi.NetworkReady, Status: true},
		},
	}

	return &runtime{
		FakeRuntimeService: service,
		ending:             map[string]struct{}{},
	}
}

// endsByItself tells the runtime that the container, not started yet, runs to
// completion.
func (runtime *runtime) endsByItself(containerID string) {
	runtime.mu.Lock()
	defer runtime.mu.Unlock()

	runtime.ending[containerID] = struct{}{}
}

// StartContainer implements the CRI.
func (runtime *runtime) StartContainer(ctx context.Context, containerID string) error {
	if err := runtime.FakeRuntimeService.StartContainer(ctx, containerID); err != nil {
		return err
	}

	runtime.mu.Lock()
	_, ending := runtime.ending[containerID]
	delete(runtime.ending, containerID)
	runtime.mu.Unlock()

	if ending {
		time.AfterFunc(initDuration, func() { runtime.complete(containerID) })
	}

	return nil
}

// complete ends a container with success, unless it is gone or has ended already.
func (runtime *runtime) complete(containerID string) {
	runtime.Lock()
	defer runtime.Unlock()

	container, ok := runtime.Containers[containerID]
	if !ok || container.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return
	}

	container.State = runtimeapi.ContainerState_CONTAINER_EXITED
	container.FinishedAt = time.Now().UnixNano()
	container.ExitCode = 0
	container.Reason = "Completed"
}

// newImages returns an image service that has every image.
func newImages() *criapitesting.FakeImageService {
	return criapitesting.NewFakeImageService()
}
