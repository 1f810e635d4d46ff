package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

func completionCommand() command {
	return command{
		name: "completion", about: "print a script that completes commands and flags", takes: "bash|zsh|fish",
		usage: `anyproxy completion prints what makes a shell complete commands and flags.

Usage: source <(anyproxy completion bash)                                  in ~/.bashrc
       source <(anyproxy completion zsh)                                   in ~/.zshrc, after compinit
       anyproxy completion fish > ~/.config/fish/completions/anyproxy.fish

`,
		prepare: func(c *call, _ *flag.FlagSet) func(context.Context) int {
			return func(context.Context) int {
				m := completionCommand()
				if len(c.args) != 1 {
					return c.misused(&m, fmt.Errorf("name one shell: %s", strings.Join(shells, ", ")))
				}
				write, ok := map[string]func(io.Writer, []completed){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.args[0]]
				if !ok {
					return c.misused(&m, fmt.Errorf("%q is none of %s", c.args[0], strings.Join(shells, ", ")))
				}
				write(c.out, everyCommand(c))
				return exitDone
			}
		},
	}
}

// completed is a command and its flags; the first one, without a name, is to serve.
type completed struct {
	name, about string
	words       []string // that may stand after the flags
	files       bool     // names of files may
	flags       []completedFlag
}

type completedFlag struct {
	name, about string
	value       bool // a value follows
	file        bool // which is a file's name
}

func everyCommand(c *call) []completed {
	var f flags
	all := []completed{{flags: completedFlags(f.set())}}
	for _, m := range commands() {
		set, _ := m.flagSet(c)
		one := completed{name: m.name, about: m.about, files: m.files, flags: completedFlags(set)}
		if m.name == "completion" {
			one.words = shells
		}
		all = append(all, one)
	}
	return all
}

func completedFlags(set *flag.FlagSet) (list []completedFlag) {
	set.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		b, isBool := f.Value.(interface{ IsBoolFlag() bool })
		list = append(list, completedFlag{name: f.Name, about: about, value: !isBool || !b.IsBoolFlag(), file: strings.HasPrefix(value, "F")})
	})
	return list
}

// names are the flags' as they are typed.
func (c *completed) names(which func(completedFlag) bool) []string {
	var out []string
	for _, f := range c.flags {
		if which(f) {
			out = append(out, "-"+f.name)
		}
	}
	return out
}

func anyFlag(completedFlag) bool { return true }

func bashCompletion(out io.Writer, all []completed) {
	var names []string
	for _, c := range all[1:] {
		names = append(names, c.name)
	}
	fmt.Fprintf(out, `# bash completion of anyproxy
_anyproxy() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) COMPREPLY=($(compgen -c -- "$cur")); return ;;
		%s) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	for ((; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ]; then
			if [ $((i + 1)) = "$COMP_CWORD" ]; then COMPREPLY=($(compgen -c -- "$cur")); else COMPREPLY=($(compgen -f -- "$cur")); fi
			return
		fi
	done
	case $command:${prev/#--/-} in
`, strings.Join(names, "|"))
	for _, c := range all {
		for _, f := range c.names(func(f completedFlag) bool { return f.file }) {
			fmt.Fprintf(out, "\t%s:%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", c.name, f)
		}
		for _, f := range c.names(func(f completedFlag) bool { return f.value && !f.file }) {
			fmt.Fprintf(out, "\t%s:%s) return ;;\n", c.name, f)
		}
	}
	fmt.Fprint(out, "\tesac\n\tcase $command in\n")
	for i, c := range all {
		words := append(c.names(anyFlag), c.words...)
		if i == 0 {
			words = append(words, names...)
		}
		fmt.Fprintf(out, "\t%q) words=%q ;;\n", c.name, strings.Join(words, " "))
	}
	fmt.Fprint(out, "\tesac\n")
	for _, c := range all {
		if c.files {
			fmt.Fprintf(out, "\tif [ \"$command\" = %s ] && [[ $cur != -* ]]; then COMPREPLY=($(compgen -f -- \"$cur\")); return; fi\n", c.name)
		}
	}
	fmt.Fprint(out, `	case $cur in
	--*) COMPREPLY=($(compgen -P - -W "$words" -- "${cur#-}")) ;;
	*) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
	esac
}
complete -o filenames -F _anyproxy anyproxy
`)
}

func zshCompletion(out io.Writer, all []completed) {
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`)
	specs := func(c completed) string {
		var b strings.Builder
		for _, f := range c.flags {
			fmt.Fprintf(&b, " \\\n\t\t\t'-%s[%s]", f.name, quote.Replace(f.about))
			switch {
			case f.file:
				b.WriteString(":file:_files")
			case f.value:
				b.WriteString(":value: ")
			}
			b.WriteString("'")
		}
		return b.String()
	}
	fmt.Fprint(out, "#compdef anyproxy\n# zsh completion of anyproxy\n_anyproxy() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, c := range all[1:] {
		fmt.Fprintf(out, "\t\t'%s:%s'\n", c.name, quote.Replace(c.about))
	}
	fmt.Fprint(out, "\t)\n\tif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, c := range all[1:] {
		rest := ""
		switch {
		case len(c.words) > 0:
			rest = fmt.Sprintf(" \\\n\t\t\t'1:shell:(%s)'", strings.Join(c.words, " "))
		case c.files:
			rest = " \\\n\t\t\t'*:file:_files'"
		case c.name == "run":
			rest = " \\\n\t\t\t'*::program:_normal'"
		}
		fmt.Fprintf(out, "\t%s)\n\t\tshift words\n\t\t(( CURRENT-- ))\n\t\t_arguments%s%s\n\t\t;;\n", c.name, specs(c), rest)
	}
	fmt.Fprintf(out, "\t*)\n\t\t_arguments%s\n\t\t;;\n\tesac\n}\ncompdef _anyproxy anyproxy\n", specs(all[0]))
}

func fishCompletion(out io.Writer, all []completed) {
	fmt.Fprint(out, "# fish completion of anyproxy\ncomplete -c anyproxy -f\n")
	var names []string
	for _, c := range all[1:] {
		names = append(names, c.name)
	}
	none := fmt.Sprintf("not __fish_seen_subcommand_from %s", strings.Join(names, " "))
	for _, c := range all[1:] {
		fmt.Fprintf(out, "complete -c anyproxy -n %s -a %s -d %s\n", fishQuoted(none), c.name, fishQuoted(c.about))
	}
	for _, c := range all {
		when := none
		if c.name != "" {
			when = "__fish_seen_subcommand_from " + c.name
		}
		for _, f := range c.flags {
			more := ""
			switch {
			case f.file:
				more = " -r -F"
			case f.value:
				more = " -x"
			}
			fmt.Fprintf(out, "complete -c anyproxy -n %s -o %s -d %s%s\n", fishQuoted(when), f.name, fishQuoted(f.about), more)
		}
		if c.files {
			fmt.Fprintf(out, "complete -c anyproxy -n %s -F\n", fishQuoted(when))
		}
		if len(c.words) > 0 {
			fmt.Fprintf(out, "complete -c anyproxy -n %s -a %s\n", fishQuoted(when), fishQuoted(strings.Join(c.words, " ")))
		}
	}
	fmt.Fprintln(out, "complete -c anyproxy -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand --allow-functions)'")
}
