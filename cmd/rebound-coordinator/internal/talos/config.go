// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"go.yaml.in/yaml/v4"

	"github.com/talos-rebound/rebound/internal/talosconfig"
)

// configuration is a talosconfig whose current context can be used.
type configuration struct {
	path    string
	file    *clientconfig.Config
	current *clientconfig.Context
}

// load reads a talosconfig. Its errors can be shown to everybody: the parser's words are left out because they may quote the
// file, which has a key in it.
func load(path string, now time.Time) (configuration, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return configuration{}, fmt.Errorf("failed to read talosconfig: %w", err)
	}

	config := configuration{path: path, file: &clientconfig.Config{}}

	if err = yaml.Unmarshal(content, config.file); err != nil {
		return configuration{}, fmt.Errorf("%q is not a talosconfig", path)
	}

	name := config.file.Context
	config.current = config.file.Contexts[name]

	switch {
	case len(config.file.Contexts) == 0:
		return configuration{}, fmt.Errorf("talosconfig %q has no contexts", path)
	case name == "":
		return configuration{}, fmt.Errorf("talosconfig %q has no current context", path)
	case config.current == nil:
		return configuration{}, fmt.Errorf("talosconfig %q has no context %q, which it calls the current one", path, name)
	}

	// Old files have a target in place of endpoints.
	config.current.Endpoints = slices.DeleteFunc(append(config.current.Endpoints, config.current.DeprecatedTarget),
		func(endpoint string) bool { return endpoint == "" })

	switch {
	case len(config.current.Endpoints) == 0:
		return configuration{}, config.unusable(errors.New("it has no endpoints"))
	case config.current.Auth.SideroV1 != nil:
		return configuration{}, config.unusable(errors.New("it wants a person to sign in; " +
			"make a talosconfig with a certificate, such as that of a Talos ServiceAccount"))
	}

	if err = talosconfig.CheckCertificate(config.current, now); err != nil {
		return configuration{}, config.unusable(err)
	}

	return config, nil
}

// unusable says which context cannot be used.
func (c configuration) unusable(err error) error {
	return fmt.Errorf("context %q of talosconfig %q: %w", c.file.Context, c.path, err)
}

// mayReboot returns an error if the client certificate has no role that may reboot a machine
// (internal/app/machined/pkg/system/services/machined.go of Talos v1.13.9). A context without a certificate may have a role in
// another way.
func (c configuration) mayReboot() error {
	certificate, err := client.CertificateFromConfigContext(c.current)
	if certificate == nil || err != nil {
		return err
	}

	// Unknown roles stay in the set and match nothing.
	roles, _ := role.Parse(certificate.Leaf.Subject.Organization)

	if roles.IncludesAny(role.MakeSet(role.Admin, role.Operator)) {
		return nil
	}

	return RefusedError{c.unusable(fmt.Errorf("it has the roles %q; rebooting takes %s or %s", roles.Strings(), role.Operator, role.Admin))}
}
