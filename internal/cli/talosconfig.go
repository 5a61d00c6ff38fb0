// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"go.yaml.in/yaml/v4"
)

// Access says how to reach the Talos API. The zero value is what a talosctl without flags uses.
type Access struct {
	// Talosconfig is the path of the client configuration; empty means where talosctl looks for it.
	Talosconfig string
	// Context is the name of the context in it; empty means the one that it calls current.
	Context string
	// Endpoints override those of the context unless empty.
	Endpoints []string
	// Nodes are the nodes to check; empty means all members of the cluster.
	Nodes []string
}

// clean returns access without spaces and repetitions in its lists.
func (access Access) clean() (Access, error) {
	var err error

	if access.Nodes, err = cleanList("--nodes", access.Nodes); err != nil {
		return Access{}, err
	}

	access.Endpoints, err = cleanList("--endpoints", access.Endpoints)

	return access, err
}

func cleanList(flag string, values []string) ([]string, error) {
	var clean []string

	for _, value := range values {
		value = strings.TrimSpace(value)

		switch {
		case value == "":
			return nil, fmt.Errorf("%s has an empty item: %q", flag, strings.Join(values, ","))
		case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("%s: %q is neither an address nor a host name", flag, value)
		case !slices.Contains(clean, value):
			clean = append(clean, value)
		}
	}

	return clean, nil
}

// Contexts are the names of the contexts in the client configuration, sorted.
func (access Access) Contexts() ([]string, error) {
	config, _, err := access.load()
	if err != nil {
		return nil, err
	}

	return slices.Sorted(maps.Keys(config.Contexts)), nil
}

// load reads the client configuration and returns it with the path that it was found at. Unlike talosctl's, it
// does not create one that is missing.
func (access Access) load() (*clientconfig.Config, string, error) {
	path, err := access.path()
	if err != nil {
		return nil, "", err
	}

	content, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("failed to read talosconfig: %w", err)
	}

	config, err := parse(content)
	if err != nil {
		return nil, "", fmt.Errorf("failed to read talosconfig %q: it is not a talosconfig: %w", path, err)
	}

	return config, path, nil
}

func parse(content []byte) (*clientconfig.Config, error) {
	var config clientconfig.Config

	if err := yaml.Unmarshal(content, &config); err != nil {
		return nil, err
	}

	// What follows does not expect these: a context that is null, and a file that is empty, as talosctl creates it.
	for name, context := range config.Contexts {
		if context == nil {
			return nil, fmt.Errorf("context %q is empty", name)
		}
	}

	if len(config.Contexts) == 0 {
		return &config, nil
	}

	return clientconfig.FromBytes(content)
}

func (access Access) path() (string, error) {
	if access.Talosconfig != "" {
		return access.Talosconfig, nil
	}

	paths, err := clientconfig.GetDefaultPaths()
	if err != nil {
		return "", fmt.Errorf("failed to find a talosconfig: %w", err)
	}

	var missing []string

	for _, path := range paths {
		if path.Path == "" {
			continue // TALOSCONFIG is set to nothing, which is as good as not set
		}

		if _, err = os.Stat(path.Path); !errors.Is(err, fs.ErrNotExist) {
			return path.Path, nil
		}

		missing = append(missing, path.Path)
	}

	return "", fmt.Errorf("failed to find a talosconfig: there is none at %s; name one with --talosconfig or TALOSCONFIG", strings.Join(missing, ", "))
}

// choose returns the context that is to be used, with what Access overrides in it.
func (access Access) choose(config *clientconfig.Config, path string, now time.Time) (*clientconfig.Context, error) {
	if len(config.Contexts) == 0 {
		return nil, fmt.Errorf("talosconfig %q has no contexts; add one with 'talosctl config merge'", path)
	}

	name := cmp.Or(access.Context, config.Context)
	if name == "" {
		return nil, fmt.Errorf("talosconfig %q has no current context; choose one with --context: %s", path, quoted(slices.Sorted(maps.Keys(config.Contexts))))
	}

	context, ok := config.Contexts[name]
	if !ok {
		return nil, fmt.Errorf("context %q is not in talosconfig %q, which has %s; choose one with --context",
			name, path, quoted(slices.Sorted(maps.Keys(config.Contexts))))
	}

	if len(access.Endpoints) > 0 {
		context.Endpoints = access.Endpoints
	}

	if len(context.Endpoints) == 0 {
		return nil, fmt.Errorf("context %q of talosconfig %q has no endpoints; name one with --endpoints", name, path)
	}

	if err := checkCertificate(context, now); err != nil {
		return nil, fmt.Errorf("context %q of talosconfig %q: %w", name, path, err)
	}

	return context, nil
}

// checkCertificate finds out what the server would only answer by hanging up.
func checkCertificate(context *clientconfig.Context, now time.Time) error {
	if context.Crt == "" {
		return nil // it has another way to authenticate
	}

	text, err := base64.StdEncoding.DecodeString(context.Crt)
	if err != nil {
		return fmt.Errorf("failed to decode the client certificate: %w", err)
	}

	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("failed to decode the client certificate: it is not PEM")
	}

	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("failed to parse the client certificate: %w", err)
	}

	if now.After(certificate.NotAfter) {
		return fmt.Errorf("the client certificate expired at %s; make a new one with 'talosctl config new', or from a control plane's machine configuration",
			certificate.NotAfter.UTC().Format(time.RFC3339))
	}

	if now.Before(certificate.NotBefore) {
		return fmt.Errorf("the client certificate is not valid before %s; is the clock of this machine right?",
			certificate.NotBefore.UTC().Format(time.RFC3339))
	}

	return nil
}

func quoted(names []string) string {
	for i, name := range names {
		names[i] = fmt.Sprintf("%q", name)
	}

	return strings.Join(names, ", ")
}
