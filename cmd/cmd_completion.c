/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof completion: scripts for bash and zsh, made from the option tables.
 *
 * bash splits words at "=", so that the argument of a long option comes as a word of its own,
 * behind one that is "=" (COMP_WORDBREAKS, bash(1)). zsh's own _arguments knows options of both
 * kinds.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "options.h"

const struct option_table completion_options = {
	.usage = "cprof completion bash|zsh",
	.about =
		"Prints a script that makes the shell complete the commands, options and values of "
		"cprof.\nFor the running shell: source <(cprof completion bash)",
	.see = "cprof-completion(1)",
};

static bool is(const char *values, const char *what)
{
	return values && strcmp(values, what) == 0;
}

/* The words that an argument can be, as bash has to compute them; "" where any text will do. */
static void bash_values(const struct option_row *row)
{
	if (is(row->values, OPTION_PID))
		fputs("COMPREPLY=($(compgen -W \"$(cd /proc && echo [0-9]*)\" -- \"$word\"))",
		      stdout);
	else if (is(row->values, OPTION_NAME))
		fputs("COMPREPLY=($(compgen -W \"$(cat /proc/[0-9]*/comm 2>/dev/null)\" -- "
		      "\"$word\"))",
		      stdout);
	else if (is(row->values, OPTION_FILE))
		fputs("COMPREPLY=($(compgen -f -- \"$word\"))", stdout);
	else if (row->values)
		printf("COMPREPLY=($(compgen -W '%s' -- \"$word\"))", row->values);
	else
		fputs(":", stdout);
}

static void bash_command(const struct cmd *cmd)
{
	const struct option_table *table = cmd->options;

	for (unsigned i = 0; i < table->n_rows; i++) {
		const struct option_row *row = &table->rows[i];

		if (!row->arg)
			continue;
		printf("\t'%s --%s'", cmd->name, row->name);
		if (row->id < 256)
			printf(" | '%s -%c'", cmd->name, row->id);
		fputs(") ", stdout);
		bash_values(row);
		fputs("; return ;;\n", stdout);
	}
}

static void bash(void)
{
	fputs("# Completion of cprof for bash; made by: cprof completion bash\n"
	      "_cprof() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal command=${COMP_WORDS[1]} i\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$word\" = = ]; then word=\n"
	      "\telif [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}\n"
	      "\tfi\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '",
	      stdout);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++)
		printf("%s ", cmd->name);
	fputs("--help --version' -- \"$word\"))\n\t\treturn\n\tfi\n"
	      "\t# Behind -- stands a command.\n"
	      "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\tif [ \"${COMP_WORDS[i]}\" = -- ]; then\n"
	      "\t\t\t[ $i != $((COMP_CWORD-1)) ] || COMPREPLY=($(compgen -c -- \"$word\"))\n"
	      "\t\t\treturn\n\t\tfi\n\tdone\n"
	      "\tcase \"$command $before\" in\n",
	      stdout);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++)
		bash_command(cmd);
	fputs("\tesac\n\tcase $word in -*) ;; *)\n"
	      "\t\t[ \"$command\" != completion ] || "
	      "COMPREPLY=($(compgen -W 'bash zsh' -- \"$word\"))\n"
	      "\t\treturn ;;\n\tesac\n"
	      "\tcase $command in\n",
	      stdout);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++) {
		printf("\t%s) COMPREPLY=($(compgen -W '--help", cmd->name);
		for (unsigned i = 0; i < cmd->options->n_rows; i++)
			printf(" --%s", cmd->options->rows[i].name);
		fputs("' -- \"$word\")) ;;\n", stdout);
	}
	fputs("\tesac\n}\ncomplete -o bashdefault -o default -F _cprof cprof\n", stdout);
}

/* Inside '…[…]:…:…', where brackets, colons and quotes have a meaning. */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", stdout);
		else if (strchr("[]:\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void zsh_values(const struct option_row *row)
{
	putchar(':');
	zsh_text(row->arg);
	putchar(':');
	if (is(row->values, OPTION_PID))
		fputs("_pids", stdout);
	else if (is(row->values, OPTION_NAME))
		fputs("($(cat /proc/[0-9]*/comm 2>/dev/null))", stdout);
	else if (is(row->values, OPTION_FILE))
		fputs("_files", stdout);
	else if (row->values)
		printf("(%s)", row->values);
	else
		putchar(' ');
}

static void zsh_option(const struct option_row *row)
{
	const char *joined = row->arg ? "=" : "";

	if (row->id < 256)
		printf("\t\t'*'{-%c%s,--%s%s}'[", row->id, row->arg ? "+" : "", row->name, joined);
	else
		printf("\t\t'*--%s%s[", row->name, joined);
	zsh_text(row->help);
	putchar(']');
	if (row->arg)
		zsh_values(row);
	fputs("' \\\n", stdout);
}

static void zsh(void)
{
	fputs("#compdef cprof\n# Completion of cprof for zsh; made by: cprof completion zsh\n"
	      "_cprof() {\n\tlocal -a commands\n\tcommands=(\n",
	      stdout);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++) {
		printf("\t\t'%s:", cmd->name);
		zsh_text(cmd->about);
		fputs("'\n", stdout);
	}
	fputs("\t)\n\tif (( CURRENT == 2 )); then\n"
	      "\t\t_describe command commands\n\t\treturn\n\tfi\n"
	      "\tlocal command=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n"
	      "\tcase $command in\n",
	      stdout);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++) {
		printf("\t%s) _arguments -s -S : \\\n", cmd->name);
		for (unsigned i = 0; i < cmd->options->n_rows; i++)
			zsh_option(&cmd->options->rows[i]);
		fputs("\t\t'(- *)'{-h,--help}'[print help and exit]' \\\n", stdout);
		if (cmd->run == cmd_completion)
			fputs("\t\t'1:shell:(bash zsh)' ;;\n", stdout);
		else if (cmd->run == cmd_record || cmd->run == cmd_top)
			fputs("\t\t'(-)1:command: _command_names -e' '*::arguments:_normal' ;;\n",
			      stdout);
		else
			fputs("\t\t'*:file:_files' ;;\n", stdout);
	}
	fputs("\tesac\n}\nif [ \"$funcstack[1]\" = _cprof ]; then _cprof \"$@\"; "
	      "else compdef _cprof cprof; fi\n",
	      stdout);
}

int cmd_completion(int argc, char **argv)
{
	const char *ignored;
	int id = options_next(&completion_options, argc, argv, &ignored);

	if (id != OPTIONS_END)
		return id == OPTIONS_HELP ? CMD_OK : CMD_USAGE;
	if (argc == 2 && strcmp(argv[1], "bash") == 0) {
		bash();
	} else if (argc == 2 && strcmp(argv[1], "zsh") == 0) {
		zsh();
	} else {
		fputs("cprof: completion wants the name of a shell: bash or zsh.\n", stderr);
		return CMD_USAGE;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("cprof: cannot write the script");
		return CMD_FAILED;
	}
	return CMD_OK;
}
