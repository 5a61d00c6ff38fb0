// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// BootIDPath is where the Linux kernel tells the random id of the present boot.
const BootIDPath = "/proc/sys/kernel/random/boot_id"

// Controllers is the one list of controllers that a Talos build registers for rebound. Every call returns new ones.
//
// Without options they are set up for machined. An option with a value that makes no sense is an error; all such errors
// are returned at once.
func Controllers(opts ...Option) ([]controller.Controller, error) {
	c := defaultConfig()

	for _, opt := range opts {
		opt(&c)
	}

	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("failed to set up the recovery controller: %w", err)
	}

	controllers := []controller.Controller{&DaemonSetRecoveryController{config: &c}}

	if c.host != "" && !c.dryRun {
		controllers = append(controllers, &NodeReportController{config: &c})
	}

	return controllers, nil
}

// Option changes how the controllers are set up.
type Option func(*config)

// WithOwnerGroups replaces the API groups whose kind DaemonSet is looked after. The default is "apps" and
// "apps.kruise.io".
func WithOwnerGroups(groups ...string) Option {
	return func(c *config) { c.settings.OwnerGroups = groups }
}

// WithRejectionCap sets how many pods of one DaemonSet are deleted in one boot after the kubelet rejected them; then they
// are left to the DaemonSet controller. The default is 10; it must be at least 1.
func WithRejectionCap(limit int) Option {
	return func(c *config) { c.settings.RejectionCap = limit }
}

// WithSettleTime sets how long nothing may be Failed or missing before the node counts as recovered. The default is 12 s;
// zero means at once. With less than the default, a pod that the kubelet rejects as it starts can be missed, because the
// kubelet may tell so only ten seconds after its start.
func WithSettleTime(d time.Duration) Option {
	return func(c *config) { c.settings.SettleTime = d }
}

// WithKubeconfigPath sets the absolute path of the kubelet's kubeconfig. The default is Talos'.
func WithKubeconfigPath(path string) Option {
	return func(c *config) { c.kubeconfigPath = path }
}

// WithClientConfig sets what tells how to reach the API server with the node's identity, in place of a kubeconfig file. It is
// asked for every connection.
func WithClientConfig(load func() (*rest.Config, error)) Option {
	return func(c *config) {
		c.connect = func(string) (Connection, error) {
			clientConfig, err := load()
			if err != nil {
				return nil, err
			}

			return kube.OpenConfig(clientConfig)
		}
	}
}

// WithNodeReport writes how the recovery stands to the Node object, for those who cannot read COSI resources: as the
// condition specs.NodeCondition and the annotation specs.NodeAnnotation. It costs two requests for each change, of which
// a recovery has a handful. Without this option nothing is written. An agent gives way to a machined that reports.
func WithNodeReport(host specs.Host) Option {
	return func(c *config) {
		c.host = host
		c.settings.YieldsToMachined = host == specs.HostAgent
	}
}

// WithDryRun writes nothing to the API server: what would be deleted is logged, once for each pod.
func WithDryRun() Option {
	return func(c *config) { c.dryRun = true }
}

// WithBootIDPath sets the absolute path of the file with the id of the present boot. The default is BootIDPath.
func WithBootIDPath(path string) Option {
	return func(c *config) { c.bootIDPath = path }
}

// WithBootTime sets what tells the time of the present boot, on the clock of WithClock. It is asked in every pass, because
// that clock may be set. The default is the system's time less the kernel's CLOCK_BOOTTIME, and fits the default clock only.
func WithBootTime(bootTime func() (time.Time, error)) Option {
	return func(c *config) { c.bootTime = bootTime }
}

// WithClock sets what tells the time. The default is time.Now. It goes with WithBootTime.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// config is what the options set.
type config struct {
	settings       recovery.Settings
	host           specs.Host
	dryRun         bool
	kubeconfigPath string
	bootIDPath     string
	bootTime       func() (time.Time, error)
	now            func() time.Time
	connect        func(kubeconfigPath string) (Connection, error)
}

func defaultConfig() config {
	return config{
		settings:       recovery.DefaultSettings(),
		kubeconfigPath: constants.KubeletKubeconfig,
		bootIDPath:     BootIDPath,
		bootTime:       BootTime,
		now:            time.Now,
		connect:        func(path string) (Connection, error) { return kube.Open(path) },
	}
}

func (c *config) validate() error {
	var errs []error

	if len(c.settings.OwnerGroups) == 0 {
		errs = append(errs, errors.New("no owner groups: name at least one API group, such as \"apps\""))
	}

	for _, group := range c.settings.OwnerGroups {
		if problems := validation.IsDNS1123Subdomain(group); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("owner group %q is not an API group: %s", group, strings.Join(problems, "; ")))
		}
	}

	if c.settings.RejectionCap < 1 {
		errs = append(errs, fmt.Errorf("rejection cap %d is less than 1", c.settings.RejectionCap))
	}

	if c.settings.SettleTime < 0 {
		errs = append(errs, fmt.Errorf("settle time %s is negative", c.settings.SettleTime))
	}

	for name, path := range map[string]string{"kubeconfig": c.kubeconfigPath, "boot id": c.bootIDPath} {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%s path %q is not absolute", name, path))
		}
	}

	if c.bootTime == nil {
		errs = append(errs, errors.New("no boot time function"))
	}

	if c.host != "" && c.host != specs.HostMachined && c.host != specs.HostAgent {
		errs = append(errs, fmt.Errorf("host %q is neither %q nor %q", c.host, specs.HostMachined, specs.HostAgent))
	}

	if c.now == nil {
		errs = append(errs, errors.New("no clock"))
	}

	return errors.Join(errs...)
}
