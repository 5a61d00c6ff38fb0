// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package cri is the container runtime of a machine, which its kubelet talks to
// over a unix socket, as it does to containerd.
//
// It is the stand-in that Kubernetes keeps for its own scale tests, with what a
// lab needs besides: containers that are processes, init containers that end,
// and a network that can be missing. It is a process of its own to the kubelet,
// so containers outlive a kubelet that is killed or restarted; they end with the
// machine.
package cri

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	criapitesting "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/cri-client/pkg/fake"
)

// imageSize is that of every image, in bytes. The kubelet takes an image without a
// size for none.
const imageSize = 1 << 20

// Config says how to run a container runtime.
type Config struct {
	// Socket is the path of the unix socket to serve on. Its folder is made.
	Socket string
	// Images are those whose containers run for real, by name. There is every
	// other image too, and its containers exist in name only.
	Images map[string]Program
	// NetworkConfig is the file without which the network is not ready, and so the
	// node is not Ready; empty for a network that always is.
	NetworkConfig string
}

// Serve serves the container runtime until ctx is done. It returns when clients
// can connect, with a function that waits for the end.
func Serve(ctx context.Context, config Config) (wait func() error, err error) {
	if err = os.MkdirAll(filepath.Dir(config.Socket), 0o700); err != nil {
		return nil, fmt.Errorf("failed to make folder for the socket of the container runtime: %w", err)
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", config.Socket)
	if err != nil {
		return nil, fmt.Errorf("failed to listen for clients of the container runtime: %w", err)
	}

	images := criapitesting.NewFakeImageService()
	images.SetFakeImageSize(imageSize)

	runtime := newRuntime(config.Images, config.NetworkConfig)
	service := &service{
		RemoteRuntime: &fake.RemoteRuntime{RuntimeService: runtime.FakeRuntimeService, ImageService: images},
		runtime:       runtime,
	}

	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, service)
	runtimeapi.RegisterImageServiceServer(server, service)

	ended := make(chan error, 1)

	go func() { ended <- server.Serve(listener) }()

	stop := context.AfterFunc(ctx, server.Stop)

	return func() error {
		defer stop()

		if err := <-ended; err != nil {
			return fmt.Errorf("failed to serve the container runtime: %w", err)
		}

		return nil
	}, nil
}

// service is the CRI over gRPC. What it does not implement itself is done by the
// stand-in of Kubernetes, on the same containers.
type service struct {
	*fake.RemoteRuntime

	runtime *runtime
}

// Status implements the CRI.
func (service *service) Status(ctx context.Context, request *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return service.runtime.Status(ctx, request.Verbose)
}

// CreateContainer implements the CRI.
func (service *service) CreateContainer(ctx context.Context, request *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	id, err := service.runtime.CreateContainer(ctx, request.PodSandboxId, request.Config, request.SandboxConfig)
	if err != nil {
		return nil, err
	}

	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

// StartContainer implements the CRI.
func (service *service) StartContainer(ctx context.Context, request *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	if err := service.runtime.StartContainer(ctx, request.ContainerId); err != nil {
		return nil, err
	}

	return &runtimeapi.StartContainerResponse{}, nil
}

// StopContainer implements the CRI.
func (service *service) StopContainer(ctx context.Context, request *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	if err := service.runtime.StopContainer(ctx, request.ContainerId, request.Timeout); err != nil {
		return nil, err
	}

	return &runtimeapi.StopContainerResponse{}, nil
}
