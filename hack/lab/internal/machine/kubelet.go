// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/internal/agent/host"
)

// restartInterval is how long Talos waits before it starts a kubelet again that
// has ended (internal/app/machined/pkg/system/runner/restart/restart.go:87).
const restartInterval = 5 * time.Second

// maxPods is the kubelet's default.
const maxPods = 110

// Process is a running kubelet.
type Process interface {
	// PID is its process id.
	PID() int
	// Ended is closed when it is gone, after which Err says how it ended.
	Ended() <-chan struct{}
	Err() error
	// Kill ends it at once and waits until it is gone.
	Kill() error
}

// StartKubelet starts the kubelet's program in a folder, with its output
// appended to a log, as a process that does not outlive this one.
type StartKubelet func(folder, log string, args ...string) (Process, error)

// superviseKubelet runs the kubelet until ctx is done, as Talos does: one that
// has ended is started again.
func (machine *machine) superviseKubelet(ctx context.Context, args []string) {
	// The health of a kubelet that was never looked at is not known, that of one
	// that is started again is: it is not healthy.
	for unknown := true; ; unknown = false {
		if err := machine.runKubelet(ctx, unknown, args); err != nil && ctx.Err() == nil {
			machine.logger.Error("kubelet ended", zap.Error(err))
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(restartInterval):
		}
	}
}

// runKubelet runs the kubelet until it ends, which is an error, or ctx is done.
func (machine *machine) runKubelet(ctx context.Context, unknown bool, args []string) error {
	root := machine.config.Root

	process, err := machine.startKubelet(string(root), machine.config.Log, args...)
	if err != nil {
		return err
	}

	defer process.Kill() //nolint:errcheck // it is a child of this process, and gone or to be killed

	if err = root.writeKubeletPID(process.PID()); err != nil {
		return err
	}

	defer os.Remove(root.KubeletPID()) //nolint:errcheck // the boot empties the folder

	if err = machine.state.SetKubelet(ctx, v1alpha1.ServiceSpec{Running: true, Unknown: unknown}); err != nil {
		return err
	}

	watching, stop := context.WithCancel(ctx)
	defer stop()

	watched := make(chan struct{})

	go func() {
		defer close(watched)

		machine.watchKubelet(watching)
	}()

	select {
	case <-ctx.Done():
		<-watched

		return nil
	case <-process.Ended():
	}

	stop()
	<-watched

	if err = machine.state.RemoveKubelet(ctx); err != nil {
		return err
	}

	return process.Err()
}

// watchKubelet publishes the kubelet's health until ctx is done. Talos goes on
// with its checks while the kubelet is started again, so that the first one after
// that may come sooner or up to three seconds later than here.
func (machine *machine) watchKubelet(ctx context.Context) {
	kubelet := host.Kubelet{
		State:        machine.state,
		URL:          "http://" + loopback.HostPort(machine.config.HealthPort) + "/healthz",
		InitialDelay: healthInitialDelay,
		Period:       healthPeriod,
		Timeout:      healthTimeout,
		Supervised:   true,
		Healthy:      machine.finishBoot,
		Logger:       machine.logger,
	}

	kubelet.Watch(ctx)
}

// writeKubeletConfig writes the kubelet's configuration file.
func (machine *machine) writeKubeletConfig(staticPodURL string) error {
	config, root := machine.config, machine.config.Root

	settings := kubeletconfig.KubeletConfiguration{
		TypeMeta:                        metav1.TypeMeta{APIVersion: kubeletconfig.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		Address:                         loopback.Address,
		Port:                            int32(config.KubeletPort),
		ReadOnlyPort:                    int32(config.HealthPort),
		StaticPodPath:                   config.StaticPods,
		StaticPodURL:                    staticPodURL,
		PodLogsDir:                      root.PodLogs(),
		VolumePluginDir:                 filepath.Join(root.Kubelet(), "volume-plugins"),
		ContainerRuntimeEndpoint:        "unix://" + root.RuntimeSocket(),
		ProviderID:                      "lab://" + config.Name,
		MaxPods:                         maxPods,
		MaxOpenFiles:                    4096,
		ShutdownGracePeriod:             metav1.Duration{Duration: config.ShutdownGracePeriod},
		ShutdownGracePeriodCriticalPods: metav1.Duration{Duration: config.ShutdownGracePeriodCriticalPods},
	}

	if err := os.MkdirAll(settings.VolumePluginDir, 0o700); err != nil {
		return fmt.Errorf("failed to create folder of volume plugins: %w", err)
	}

	content, err := yaml.Marshal(settings)
	if err != nil {
		return fmt.Errorf("failed to encode kubelet configuration: %w", err)
	}

	if err = os.WriteFile(root.KubeletConfig(), content, 0o600); err != nil {
		return fmt.Errorf("failed to write kubelet configuration: %w", err)
	}

	return nil
}

// kubeletArgs are the arguments of the kubelet's program.
func (machine *machine) kubeletArgs() []string {
	config, root := machine.config, machine.config.Root

	args := make([]string, 0, 7+len(config.Labels)+len(config.Devices))
	args = append(args,
		"--config="+root.KubeletConfig(),
		"--kubeconfig="+root.Kubeconfig(),
		"--root-dir="+root.Kubelet(),
		"--boot-id-file="+root.BootID(),
		"--hostname-override="+config.Name,
		"--node-ip="+config.Address,
		"--v=2", // says what the kubelet does in a shutdown
	)

	for name, value := range config.Labels {
		args = append(args, "--node-labels="+name+"="+value)
	}

	for name, delay := range config.Devices {
		args = append(args, "--device="+name+"="+machine.clock.up.Add(delay).Format(time.RFC3339Nano))
	}

	slices.Sort(args)

	return args
}

// writeKubeletPID writes the file that names the kubelet's process. Whoever reads
// it meanwhile reads a whole one or none.
func (root Root) writeKubeletPID(pid int) error {
	next := root.KubeletPID() + ".next"

	if err := os.WriteFile(next, []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return fmt.Errorf("failed to write process id of kubelet: %w", err)
	}

	if err := os.Rename(next, root.KubeletPID()); err != nil {
		return fmt.Errorf("failed to write process id of kubelet: %w", err)
	}

	return nil
}

// ReadKubeletPID returns the process id of the kubelet. The error wraps
// fs.ErrNotExist if none runs.
func (root Root) ReadKubeletPID() (int, error) {
	content, err := os.ReadFile(root.KubeletPID())
	if err != nil {
		return 0, fmt.Errorf("failed to read process id of kubelet: %w", err)
	}

	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("failed to parse process id of kubelet: %w", err)
	}

	return pid, nil
}
