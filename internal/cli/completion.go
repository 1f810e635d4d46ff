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
		name: "completion", about: "print a script that completes commands and flags", takes: strings.Join(shells, "|"),
		usage: `anyproxy completion prints what makes a shell complete commands, flags, files
and the names of providers.

  source <(anyproxy completion bash)      in ~/.bashrc
  source <(anyproxy completion zsh)       in ~/.zshrc, after compinit
  anyproxy completion fish | source       in ~/.config/fish/config.fish

Usage: anyproxy completion bash|zsh|fish

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			file := addConfigFlag(c, set)
			providers := set.Bool("providers", false, "print the names of the configuration's providers, as the scripts need them")
			return func(context.Context) int {
				m := completionCommand()
				if *providers && len(c.args) == 0 {
					return printProviders(c, file.file())
				}
				if len(c.args) != 1 || *providers {
					return c.misused(&m, fmt.Errorf("name one shell: %s", strings.Join(shells, ", ")))
				}
				write, ok := map[string]func(io.Writer, []completed){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.args[0]]
				if !ok {
					return c.misused(&m, fmt.Errorf("%q is none of %s", c.args[0], strings.Join(shells, ", ")))
				}
				var script strings.Builder
				write(&script, everyCommand(c))
				return c.answered(script.String())
			}
		},
	}
}

func printProviders(c *call, file string) int {
	doc, err := soundConfig(file, c.getenv)
	if err != nil {
		return c.failed(err)
	}
	for _, p := range doc.Config.Providers {
		fmt.Fprintln(c.out, p.Name)
	}
	return exitDone
}

// completed is a command and its flags; the first one, without a name, is to serve.
type completed struct {
	name, about string
	after       values // what may stand after the flags
	flags       []completedFlag
}

type completedFlag struct {
	name, about string
	value       bool // a value follows
	values      values
}

// values are what can be proposed for a value; nothing where it could be anything.
type values struct {
	words     []string
	files     bool
	providers bool
	program   bool // after "--", with its own arguments
}

// valuesNamed knows them by how help names a value.
func valuesNamed(name string) values {
	switch {
	case strings.HasSuffix(name, "-- COMMAND"):
		return values{program: true}
	case strings.HasPrefix(name, "FILE"):
		return values{files: true}
	case name == "NAME":
		return values{providers: true}
	case name == "SHELL":
		return values{words: shells}
	case name == "COLUMN":
		return values{words: usageColumns}
	case name == "[COMMAND]":
		return values{words: commandNames()}
	case strings.Contains(name, "|"):
		return values{words: strings.Split(name, "|")}
	}
	return values{}
}

func everyCommand(c *call) []completed {
	var f flags
	all := []completed{{flags: completedFlags(f.set())}}
	for _, m := range commands() {
		set, _ := m.flagSet(c)
		all = append(all, completed{name: m.name, about: m.about, flags: completedFlags(set), after: valuesNamed(m.takes)})
	}
	return all
}

func completedFlags(set *flag.FlagSet) (list []completedFlag) {
	set.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		b, isBool := f.Value.(interface{ IsBoolFlag() bool })
		list = append(list, completedFlag{name: f.Name, about: about, value: !isBool || !b.IsBoolFlag(), values: valuesNamed(value)})
	})
	return list
}

// bashCompletion does with what the oldest bash in use has, 3.2 on macOS. Its
// words come apart at "=" too.
func bashCompletion(out io.Writer, all []completed) {
	fmt.Fprintf(out, `# bash completion of anyproxy
_anyproxy_files() {
	compopt -o filenames 2>/dev/null
	COMPREPLY=($(compgen -f -- "$cur"))
}
_anyproxy_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_anyproxy_providers() {
	_anyproxy_words "$("${COMP_WORDS[0]}" completion -providers ${config:+"-config=$config"} 2>/dev/null)"
}
_anyproxy() {
	local IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= config= words= i
	COMPREPLY=()
	case ${COMP_WORDS[1]} in
	%s) [ "$COMP_CWORD" -gt 1 ] && command=${COMP_WORDS[1]} ;;
	esac
	if [ "$cur" = = ]; then
		cur=
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-config|--config)
			config=${COMP_WORDS[i+1]}
			[ "$config" = = ] && config=${COMP_WORDS[i+2]-}
			config=${config/#~\//$HOME/}
			;;
		--)
			if [ $((i + 1)) = "$COMP_CWORD" ]; then COMPREPLY=($(compgen -c -- "$cur")); else _anyproxy_files; fi
			return
			;;
		esac
	done
	case $command:${prev/#--/-} in
`, strings.Join(commandNames(), "|"))
	for _, c := range all {
		for _, f := range c.flags {
			if f.value {
				fmt.Fprintf(out, "\t%s:-%s) %sreturn ;;\n", c.name, f.name, f.values.inBash())
			}
		}
	}
	fmt.Fprint(out, "\tesac\n\tcase $cur in\n\t-*)\n\t\tcase $command in\n")
	for _, c := range all {
		var names []string
		for _, f := range c.flags {
			names = append(names, "-"+f.name)
		}
		fmt.Fprintf(out, "\t\t%q) words=%s ;;\n", c.name, bashWords(names))
	}
	fmt.Fprint(out, `		esac
		case $cur in
		--*) COMPREPLY=($(compgen -P - -W "$words" -- "${cur#-}")) ;;
		*) _anyproxy_words "$words" ;;
		esac
		return
		;;
	esac
	[ "$COMP_CWORD" = 1 ] && _anyproxy_words `+bashWords(commandNames())+`
	case $command in
`)
	for _, c := range all {
		if text := c.after.inBash(); text != "" {
			fmt.Fprintf(out, "\t%s) %s;;\n", c.name, text)
		}
	}
	fmt.Fprint(out, "\tesac\n}\ncomplete -F _anyproxy anyproxy\n")
}

// bashWords is a list as compgen splits it where IFS is a line end.
func bashWords(words []string) string { return `$'` + strings.Join(words, `\n`) + `'` }

// inBash is a command that proposes the values, "" for none.
func (v values) inBash() string {
	switch {
	case v.files:
		return "_anyproxy_files; "
	case v.providers:
		return "_anyproxy_providers; "
	case len(v.words) > 0:
		return "_anyproxy_words " + bashWords(v.words) + "; "
	}
	return ""
}

func zshCompletion(out io.Writer, all []completed) {
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`, "\n", " ")
	fmt.Fprint(out, `#compdef anyproxy
# zsh completion of anyproxy
_anyproxy_providers() {
	local -a names from
	local file=${(Q)${(Q)opt_args[-config]}} # escaped by _arguments, and as it was typed
	[[ -n $file ]] && from=(-config ${file/#\~\//$HOME/})
	names=(${(f)"$($program completion -providers $from 2>/dev/null)"})
	_describe provider names
}
_anyproxy() {
	local program=$words[1] curcontext=$curcontext
	local -a names
	typeset -A opt_args
	names=(
`)
	for _, c := range all[1:] {
		fmt.Fprintf(out, "\t\t'%s:%s'\n", c.name, quote.Replace(c.about))
	}
	fmt.Fprint(out, `	)
	if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
		_describe command names
		return
	fi
	case $words[2] in
`)
	for _, c := range all[1:] {
		fmt.Fprintf(out, "\t%s)\n", c.name)
		if c.after.program {
			fmt.Fprint(out, `		local at=$words[(i)--]
		if (( at < CURRENT )); then
			shift $at words
			(( CURRENT -= at ))
			_normal
			return
		fi
`)
		}
		fmt.Fprintf(out, "\t\tshift words\n\t\t(( CURRENT-- ))\n\t\t_arguments%s\n\t\t;;\n", c.inZsh(quote))
	}
	fmt.Fprintf(out, "\t*)\n\t\t_arguments%s\n\t\t;;\n\tesac\n}\ncompdef _anyproxy anyproxy\n", all[0].inZsh(quote))
}

// inZsh are the specifications for _arguments.
func (c completed) inZsh(quote *strings.Replacer) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, " \\\n\t\t\t'"+format+"'", args...) }
	for _, f := range c.flags {
		spec := fmt.Sprintf("-%s[%s]", f.name, quote.Replace(f.about))
		if f.value {
			spec += ":value:" + f.values.inZsh()
		}
		add("%s", spec)
	}
	if action := c.after.inZsh(); action != " " {
		form := "*:value:%s"
		if len(c.after.words) > 0 {
			form = "1:value:%s"
		}
		add(form, action)
	}
	return b.String()
}

// inZsh is an action that proposes the values, a blank for none.
func (v values) inZsh() string {
	switch {
	case v.files:
		return "_files"
	case v.providers:
		return "_anyproxy_providers"
	case len(v.words) > 0:
		return "(" + strings.Join(v.words, " ") + ")"
	}
	return " "
}

func fishCompletion(out io.Writer, all []completed) {
	fmt.Fprintf(out, `# fish completion of anyproxy
function __anyproxy_is --description 'whether this is the command that is typed; without one: whether none is'
	set -l words (commandline -opc) ''
	if set -q argv[1]
		test $words[2] = $argv[1]
	else
		not contains -- $words[2] %s
	end
end
function __anyproxy_first
	test (count (commandline -opc)) = 1
end
function __anyproxy_providers
	set -l words (commandline -opc)
	set -l from
	if set -l at (contains -i -- -config $words; or contains -i -- --config $words)
		set from -config $words[(math $at + 1)]
	end
	$words[1] completion -providers $from 2>/dev/null
end
function __anyproxy_program --description 'what fits behind --, as if it stood alone'
	set -l words (commandline -opc)
	set -l at (contains -i -- -- $words); or return
	set -e words[1..$at]
	complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end
complete -c anyproxy -f
`, strings.Join(commandNames(), " "))
	for _, c := range all[1:] {
		fmt.Fprintf(out, "complete -c anyproxy -n __anyproxy_first -a %s -d %s\n", c.name, fishQuoted(c.about))
	}
	for _, c := range all {
		when := strings.TrimSpace("__anyproxy_is " + c.name)
		for _, f := range c.flags {
			more := ""
			switch {
			case f.values.files:
				more = " -r -F"
			case f.value:
				more = " -x" + f.values.inFish()
			}
			fmt.Fprintf(out, "complete -c anyproxy -n %s -o %s -d %s%s\n", fishQuoted(when), f.name, fishQuoted(f.about), more)
		}
		if more := c.after.inFish(); more != "" {
			fmt.Fprintf(out, "complete -c anyproxy -n %s%s\n", fishQuoted(when), more)
		}
	}
}

// inFish are the flags of complete that propose the values, "" for none.
func (v values) inFish() string {
	switch {
	case v.program:
		return " -a '(__anyproxy_program)'"
	case v.files:
		return " -F"
	case v.providers:
		return " -a '(__anyproxy_providers)'"
	case len(v.words) > 0:
		return " -a " + fishQuoted(strings.Join(v.words, " "))
	}
	return ""
}
