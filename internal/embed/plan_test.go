// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"bytes"
	"go/format"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
)

var released = embed.Options{Version: "v0.1.0"}

func diff(t *testing.T, plan *embed.Plan) string {
	t.Helper()

	var text bytes.Buffer

	require.NoError(t, plan.WriteDiff(&text))

	return text.String()
}

// added are the lines that a plan adds to a file that there is, and nothing is taken away from it.
func added(t *testing.T, plan *embed.Plan, path string) string {
	t.Helper()

	_, hunk, ok := strings.Cut(diff(t, plan), "+++ b/"+path+"\n")
	require.True(t, ok, "%s is not edited", path)

	hunk, _, _ = strings.Cut(hunk, "--- ")

	var text strings.Builder

	for line := range strings.Lines(hunk) {
		require.False(t, strings.HasPrefix(line, "-"), "a line was taken away: %q", line)

		if after, ok := strings.CutPrefix(line, "+"); ok {
			text.WriteString(after)
		}
	}

	return text.String()
}

func TestEmbeddingAddsAFewLines(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), released)
	require.NoError(t, err)
	assert.Equal(t, "v1.13.9", plan.Talos)

	for path, want := range map[string]string{
		"go.mod": "\nrequire github.com/talos-rebound/rebound v0.1.0 // rebound embed\n",
		controllerPath: `	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery" // rebound embed
		&reboundctrl.DaemonSetRecoveryController{}, // rebound embed
`,
		statePath: `	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery" // rebound embed
		&reboundres.RecoveryStatus{},    // rebound embed
		&reboundres.DaemonSetRecovery{}, // rebound embed
`,
		checksPath: "\t\t\tdaemonSetPodsRecovered, // rebound embed\n",
	} {
		assert.Equal(t, want, added(t, plan, path), path)
	}

	after := string(with(talos(t), plan)[checksPath].Data)
	assert.Less(t, strings.Index(after, "daemonSetPodsRecovered,"), strings.Index(after, "// wait for the nodes"), "ahead of the checks that stall")
	assert.Contains(t, string(with(talos(t), plan)[controllerPath].Data), "DaemonSetRecoveryController{}, // rebound embed\n\t} {\n", "behind all others")
	assert.Contains(t, string(with(talos(t), plan)[checkPath].Data), "func daemonSetPodsRecovered(cluster ClusterInfo) conditions.Condition {")
	assert.NotContains(t, with(talos(t), plan), diagnosticPath)
}

func TestTheDiagnosticIsAddedOnRequest(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), embed.Options{Version: "v0.1.0", Diagnostics: true})
	require.NoError(t, err)

	assert.Equal(t, "\t\tdaemonSetRecovery(), // rebound embed\n", added(t, plan, checksList))
	assert.Equal(t, `	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery" // rebound embed
		{Namespace: reboundres.NamespaceName, Type: reboundres.RecoveryStatusType, Kind: controller.InputWeak}, // rebound embed
`, added(t, plan, diagnosticsPath))
	assert.Contains(t, string(with(talos(t), plan)[diagnosticPath].Data), `CheckDescription{ID: "daemonset-recovery", Check: daemonSetRecoveryCheck}`)

	// Without the request it is taken out again.
	embedded := with(talos(t), plan)
	plan, err = embed.NewPlan(embedded, released)
	require.NoError(t, err)

	plain, err := embed.NewPlan(talos(t), released)
	require.NoError(t, err)
	assert.Equal(t, read(t, with(talos(t), plain)), read(t, with(embedded, plan)))
}

func TestAFolderReplacesTheRelease(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), embed.Options{Dir: "../re bound"})
	require.NoError(t, err)
	assert.Equal(t, `
require github.com/talos-rebound/rebound v0.0.0-00010101000000-000000000000 // rebound embed

replace github.com/talos-rebound/rebound => "../re bound" // rebound embed
`, added(t, plan, "go.mod"))
}

// TestWhatIsEmbeddedIsAllThatThereIs compares with the lists that the library has for those who embed by hand.
func TestWhatIsEmbeddedIsAllThatThereIs(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), released)
	require.NoError(t, err)

	for _, definition := range recoveryres.ResourceDefinitions() {
		name := map[string]string{
			reflect.TypeFor[recoveryres.RecoveryStatus]().String():    "RecoveryStatus",
			reflect.TypeFor[recoveryres.DaemonSetRecovery]().String(): "DaemonSetRecovery",
		}[reflect.TypeOf(definition).Elem().String()]
		assert.Contains(t, added(t, plan, statePath), "\t\t&reboundres."+name+"{},")
	}

	controllers, err := recovery.Controllers()
	require.NoError(t, err)
	require.Len(t, controllers, 1)
	assert.Contains(t, added(t, plan, controllerPath), "&reboundctrl."+reflect.TypeOf(controllers[0]).Elem().Name()+"{}")
}

// variants are trees that are odd and legal.
func variants(t *testing.T) map[string]fstest.MapFS {
	t.Helper()

	return map[string]fstest.MapFS{
		"as it is": talos(t),
		"comments around the list": replaced(t, talos(t), statePath, `
		&v1alpha1.Service{},
`, `
		// the first
		&block.Disk{}, // a disk

		// the last
		&v1alpha1.Service{},
		// add more here
`),
		"imports without groups": replaced(t, talos(t), controllerPath, `	"context"

	"github.com/cosi-project/runtime/pkg/controller"
	osruntime "github.com/cosi-project/runtime/pkg/controller/runtime"

	"github.com`, `	"context"
	"github.com/cosi-project/runtime/pkg/controller"
	osruntime "github.com/cosi-project/runtime/pkg/controller/runtime"
	"github.com`),
		"an import that sorts behind": replaced(t, talos(t), controllerPath, `	"github.com/cosi-project/runtime/pkg/controller"
	osruntime "github.com/cosi-project/runtime/pkg/controller/runtime"
`, `	"go.uber.org/zap"
`),
		"go.mod with blank lines at its end":  replaced(t, talos(t), "go.mod", "// in-tree\n)\n", "// in-tree\n)\n\n\n"),
		"the first version that is supported": replaced(t, talos(t), tagPath, "v1.13.9", "v1.13.5"),
		"a release candidate of v1.14":        replaced(t, talos(t), tagPath, "v1.13.9", "v1.14.0-rc.1"),
	}
}

func TestEmbeddingIsIdempotentCleanAndReversible(t *testing.T) {
	t.Parallel()

	for name, tree := range variants(t) {
		for _, options := range []embed.Options{released, {Dir: "../rebound", Diagnostics: true}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				plan, err := embed.NewPlan(tree, options)
				require.NoError(t, err)

				embedded := with(tree, plan)

				for path, file := range embedded {
					if strings.HasSuffix(path, ".go") {
						formatted, err := format.Source(file.Data)
						require.NoError(t, err)
						assert.Equal(t, string(formatted), string(file.Data), path)
					}
				}

				again, err := embed.NewPlan(embedded, options)
				require.NoError(t, err)
				assert.Empty(t, diff(t, again), "embedding twice is embedding once")

				// What is there already is replaced, whatever it is.
				other, err := embed.NewPlan(embedded, embed.Options{Version: "v0.2.0"})
				require.NoError(t, err)

				fresh, err := embed.NewPlan(tree, embed.Options{Version: "v0.2.0"})
				require.NoError(t, err)
				assert.Equal(t, read(t, with(tree, fresh)), read(t, with(embedded, other)))

				revert, err := embed.NewRevertPlan(embedded)
				require.NoError(t, err)
				assert.Equal(t, read(t, tree), read(t, with(embedded, revert)), "byte for byte")

				nothing, err := embed.NewRevertPlan(tree)
				require.NoError(t, err)
				assert.Empty(t, nothing.Changes)
			})
		}
	}
}

// TestRevertAfterTheGoCommand has what go get and go mod tidy may make of the statements.
func TestRevertAfterTheGoCommand(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(t), released)
	require.NoError(t, err)

	const inserted = "\nrequire github.com/talos-rebound/rebound v0.1.0 // rebound embed\n"

	for _, rewrite := range []func(tree fstest.MapFS) fstest.MapFS{
		func(tree fstest.MapFS) fstest.MapFS { return replaced(t, tree, "go.mod", "v0.1.0", "v0.2.0") },
		func(tree fstest.MapFS) fstest.MapFS {
			return replaced(t, tree, "go.mod", "// rebound", "// indirect; rebound")
		},
		func(tree fstest.MapFS) fstest.MapFS {
			return replaced(t, replaced(t, tree, "go.mod", inserted, ""), "go.mod", ")\n", strings.Replace(inserted[1:], "require ", "\t", 1)+")\n")
		},
	} {
		embedded := rewrite(with(talos(t), plan))

		revert, err := embed.NewRevertPlan(embedded)
		require.NoError(t, err)
		assert.Equal(t, read(t, talos(t)), read(t, with(embedded, revert)))
	}
}

func TestRevertTakesOutTheChecksumsToo(t *testing.T) {
	t.Parallel()

	const before, after = "github.com/cosi-project/runtime v1.14.1 h1:a=\n", "go.uber.org/zap v1.28.0 h1:b=\n"

	tree := talos(t)
	tree["go.sum"] = &fstest.MapFile{Data: []byte(before + "github.com/talos-rebound/rebound v0.1.0 h1:c=\n" +
		"github.com/talos-rebound/rebound v0.1.0/go.mod h1:d=\n" + after + "github.com/talos-rebound/rebound-extras v0.1.0 h1:e=\n")}

	plan, err := embed.NewRevertPlan(tree)
	require.NoError(t, err)
	assert.Equal(t, before+after+"github.com/talos-rebound/rebound-extras v0.1.0 h1:e=\n", string(with(tree, plan)["go.sum"].Data))
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()

	const byHand = "rebound embed did not write this about rebound; take it out by hand"

	for name, tc := range map[string]struct{ path, old, replacement, says string }{
		"another module":                {"go.mod", "siderolabs/talos\n", "siderolabs/omni\n", `its go.mod is that of "github.com/siderolabs/omni"`},
		"a strange version":             {tagPath, "v1.13.9", "undefined", `the version of Talos is unknown: ` + tagPath + ` says "undefined"`},
		"a version too old":             {tagPath, "v1.13.9", "v1.13.4", "Talos v1.13.4 is not supported: rebound can be embedded in v1.13.5 and later 1.13 releases, and the v1.14 line"},
		"a version too new":             {tagPath, "v1.13.9", "v1.15.0-alpha.0", "Talos v1.15.0-alpha.0 is not supported"},
		"a file that does not parse":    {controllerPath, "package v1alpha2", "packet v1alpha2", "failed to parse it: " + controllerPath + ":1:1"},
		"go.mod that does not parse":    {"go.mod", "require (", "require (\n)(", "failed to parse it: go.mod:"},
		"go.mod without a line feed":    {"go.mod", "// in-tree\n)\n", "// in-tree\n)", "an edit could not be taken back byte for byte"},
		"lines of another system":       {statePath, "package v1alpha2\n", "package v1alpha2\r\n", "its lines end with CR LF"},
		"a list that has gone":          {statePath, "meta.ResourceWithRD{", "meta.Resource{", "it has 0 lists of type []meta.ResourceWithRD in function NewState where one is expected"},
		"two lists":                     {statePath, "for _, r", "_ = []meta.ResourceWithRD{nil}\n\tfor _, r", "it has 2 lists of type []meta.ResourceWithRD in function NewState"},
		"a function that has gone":      {checksPath, "func DefaultClusterChecks", "func AllClusterChecks", "it has 0 lists of type []ClusterCheck in function DefaultClusterChecks"},
		"a package under another name":  {diagnosticsPath, "[]controller.Input {\n\treturn []controller.Input", "[]ctl.Input {\n\treturn []ctl.Input", "it has 0 lists of type []controller.Input in function Inputs"},
		"no import of a third party":    {diagnosticsPath, "github.com/cosi-project/runtime/pkg/controller", "github.com/siderolabs/talos/pkg/controller", "it imports nothing of a third party"},
		"an import without parentheses": {statePath, "import (\n\t\"context\"\n\n\t\"github.com/cosi-project/runtime/pkg/resource/meta\"\n", "import \"github.com/cosi-project/runtime/pkg/resource/meta\"\nimport (\n", "an edit could not be taken back byte for byte"},
		"a list on one line":            {statePath, "{\n\t\t&v1alpha1.Service{},\n\t} {", "{&v1alpha1.Service{}} {", "line 31: the list of type []meta.ResourceWithRD has elements or comments on the lines of its braces"},
		"an element before the brace":   {statePath, "&v1alpha1.Service{},\n\t} {", "&v1alpha1.Service{}} {", "line 31: the list of type []meta.ResourceWithRD has elements or comments on the lines of its braces"},
		"a comment behind the brace":    {checksPath, "[]ClusterCheck{\n\t\t\t//", "[]ClusterCheck{ //", "line 12: the list of type []ClusterCheck has elements or comments on the lines of its braces"},
		"an element and its neighbour":  {statePath, "&v1alpha1.Service{},", "&v1alpha1.Service{}, // aligned by gofmt with what follows", "an edit could not be taken back byte for byte"},
		"not as gofmt would have it":    {checksPath, "\t\tPreBoot", "  PreBoot", "an edit could not be taken back byte for byte: other lines would change with it; is it formatted with gofmt"},
		"rebound used by hand":          {controllerPath, "return ctrl.runtime.Run", "return reboundctrl.Run", "line 32: " + byHand},
		"rebound imported by hand":      {statePath, "\t\"github.com/cosi", "\t_ \"github.com/talos-rebound/rebound/pkg/resources/recovery\"\n\t\"github.com/cosi", "line 6: " + byHand},
		"our check called by hand":      {checksPath, "PreBootSequenceChecks(),", "PreBootSequenceChecks(),\n\t\t[]ClusterCheck{daemonSetPodsRecovered},", "line 12: " + byHand},
		"our diagnostic called by hand": {checksList, "\t\t{\n", "\t\tdaemonSetRecovery(),\n\t\t{\n", "line 19: " + byHand},
		"an edit that lost its marker":  {statePath, "&v1alpha1.Service{},", "&reboundres.RecoveryStatus{}, // rebound embed, and ours", "line 32: " + byHand},
		"rebound required by hand":      {"go.mod", "// in-tree\n", "// in-tree\n\tgithub.com/talos-rebound/rebound v0.1.0\n", "line 10: " + byHand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tree := replaced(t, talos(t), tc.path, tc.old, tc.replacement)
			before := read(t, tree)

			_, err := embed.NewPlan(tree, everything)
			require.ErrorContains(t, err, tc.says)

			if tc.path != tagPath && name != "another module" {
				assert.ErrorContains(t, err, "this tree of Talos v1.13.9 is not understood, nothing was changed:\n"+tc.path+": ")
			}

			assert.Equal(t, before, read(t, tree))
		})
	}
}

func TestAFileOfTheSameNameIsNotTouched(t *testing.T) {
	t.Parallel()

	tree := talos(t)
	tree[checkPath] = &fstest.MapFile{Data: []byte("package check\n")}

	_, err := embed.NewPlan(tree, released)
	require.ErrorContains(t, err, checkPath+": there is such a file, and rebound embed did not write it")

	_, err = embed.NewRevertPlan(tree)
	require.ErrorContains(t, err, checkPath+": there is such a file, and rebound embed did not write it")
}

func TestWhatIsMissingIsSaidAtOnce(t *testing.T) {
	t.Parallel()

	_, err := embed.NewPlan(fstest.MapFS{}, released)
	require.EqualError(t, err, "this is not a source tree of Talos: it has no go.mod; expected is a checkout of github.com/siderolabs/talos")

	tree := talos(t)
	delete(tree, statePath)
	delete(tree, controllerPath)

	_, err = embed.NewPlan(tree, released)
	require.ErrorContains(t, err, statePath+": this file is missing")
	require.ErrorContains(t, err, controllerPath+": this file is missing")

	delete(tree, tagPath)

	_, err = embed.NewPlan(tree, released)
	require.ErrorContains(t, err, "the version of Talos is unknown: open "+tagPath)
}

func TestAWrongVersionIsRefused(t *testing.T) {
	t.Parallel()

	for _, version := range []string{"", "0.1.0", "latest", "v2.0.0", "v0.1", "v0.1.0+incompatible"} {
		_, err := embed.NewPlan(talos(t), embed.Options{Version: version})
		require.ErrorContains(t, err, "go.mod: \""+version+"\" is not a version of rebound", version)
	}
}
