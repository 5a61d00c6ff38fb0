// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosconfig

import (
	"fmt"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
)

// CheckCertificate returns an error if the context has a client certificate that cannot be read, or that is not valid now.
// Servers end the connection of such a client without a word. The error has nothing secret in it.
func CheckCertificate(context *clientconfig.Context, now time.Time) error {
	certificate, err := client.CertificateFromConfigContext(context)

	switch {
	case err != nil:
		return fmt.Errorf("failed to read the client certificate: %w", err)
	case certificate == nil:
		return nil // it has another way to authenticate
	case now.After(certificate.Leaf.NotAfter):
		return fmt.Errorf("the client certificate expired at %s", certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(certificate.Leaf.NotBefore):
		return fmt.Errorf("the client certificate is not valid before %s, and the clock of this machine says %s",
			certificate.Leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}
