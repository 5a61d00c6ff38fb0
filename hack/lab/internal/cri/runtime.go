// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cri

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	criapitesting "k8s.io/cri-api/pkg/apis/testing"
)

// InitImage is the image of containers that run to completion, as init
// containers do. The CRI does not say what an init container is.
const InitImage = "registry.k8s.io/busybox:1.37"

const (
	// initDuration is how long a container of InitImage runs.
	initDuration = 200 * time.Millisecond
	// terminated is the exit code of a process that SIGTERM has ended.
	terminated = 128 + int32(syscall.SIGTERM)
)

// runtime is a container runtime whose containers exist in name only, but for
// those of the images that it has programs for. It keeps them in memory, and so
// loses them at a reboot as a machine does, and not when the kubelet ends.
//
// The runtime it is made of leaves every container running until it is told to
// stop, which init containers never are; those end with success by themselves.
// It also ends a stopped container with success. Most programs that are told
// to stop do not, and the kubelet may report a pod whose containers all ended
// with success as Succeeded even in a shutdown, so it is SIGTERM that ends them.
type runtime struct {
	*criapitesting.FakeRuntimeService

	images map[string]Program
	// network is the file without which the network is not ready; empty for none.
	network string

	mu       sync.Mutex
	ending   map[string]struct{} // created, and will run to completion
	programs map[string]*program
}

func newRuntime(images map[string]Program, network string) *runtime {
	service := criapitesting.NewFakeRuntimeService()
	service.FakeStatus = &runtimeapi.RuntimeStatus{
		Conditions: []*runtimeapi.RuntimeCondition{
			{Type: runtimeapi.RuntimeReady, Status: true},
			{Type: runtimeapi.NetworkReady, Status: true},
		},
	}

	return &runtime{
		FakeRuntimeService: service,
		images:             images,
		network:            network,
		ending:             map[string]struct{}{},
		programs:           map[string]*program{},
	}
}

// Status implements the CRI. As a real runtime it looks for the configuration of
// the network each time.
func (runtime *runtime) Status(ctx context.Context, verbose bool) (*runtimeapi.StatusResponse, error) {
	if runtime.network != "" {
		if _, err := os.Stat(runtime.network); err != nil {
			status := &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
				{Type: runtimeapi.RuntimeReady, Status: true},
				{Type: runtimeapi.NetworkReady, Status: false, Reason: "NetworkPluginNotReady", Message: err.Error()},
			}}

			return &runtimeapi.StatusResponse{Status: status}, nil //nolint:nilerr // it is in the status
		}
	}

	return runtime.FakeRuntimeService.Status(ctx, verbose)
}

// CreateContainer implements the CRI.
func (runtime *runtime) CreateContainer(
	ctx context.Context, sandbox string, config *runtimeapi.ContainerConfig, sandboxConfig *runtimeapi.PodSandboxConfig,
) (string, error) {
	id, err := runtime.FakeRuntimeService.CreateContainer(ctx, sandbox, config, sandboxConfig)
	if err != nil {
		return "", err
	}

	image := config.GetImage().GetUserSpecifiedImage()

	runtime.mu.Lock()
	defer runtime.mu.Unlock()

	if _, ok := runtime.images[image]; ok {
		runtime.programs[id] = &program{config: config, log: filepath.Join(sandboxConfig.LogDirectory, config.LogPath)}
	}

	if image == InitImage {
		runtime.ending[id] = struct{}{}
	}

	return id, nil
}

// StartContainer implements the CRI.
func (runtime *runtime) StartContainer(ctx context.Context, containerID string) error {
	if err := runtime.FakeRuntimeService.StartContainer(ctx, containerID); err != nil {
		return err
	}

	runtime.mu.Lock()
	_, ending := runtime.ending[containerID]
	delete(runtime.ending, containerID)
	program := runtime.programs[containerID]
	runtime.mu.Unlock()

	if program != nil {
		image := runtime.images[program.config.GetImage().GetUserSpecifiedImage()]

		return program.start(image, func(code int32) {
			reason := "Completed"
			if code != 0 {
				reason = "Error"
			}

			runtime.end(containerID, code, reason)
		})
	}

	if ending {
		time.AfterFunc(initDuration, func() { runtime.end(containerID, 0, "Completed") })
	}

	return nil
}

// StopContainer implements the CRI. It succeeds for a container that has ended
// or was removed, as the CRI demands.
func (runtime *runtime) StopContainer(ctx context.Context, containerID string, timeout int64) error {
	runtime.mu.Lock()
	program := runtime.programs[containerID]
	runtime.mu.Unlock()

	if program != nil && program.process != nil {
		return program.stop(ctx, time.Duration(timeout)*time.Second)
	}

	runtime.end(containerID, terminated, "Error")

	return nil
}

// end ends a container, unless it is gone or has ended already.
func (runtime *runtime) end(containerID string, exitCode int32, reason string) {
	runtime.Lock()
	defer runtime.Unlock()

	container, ok := runtime.Containers[containerID]
	if !ok || container.State == runtimeapi.ContainerState_CONTAINER_EXITED {
		return
	}

	container.State = runtimeapi.ContainerState_CONTAINER_EXITED
	container.FinishedAt = time.Now().UnixNano()
	container.ExitCode = exitCode
	container.Reason = reason
}
