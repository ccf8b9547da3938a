/* conversation.h - a chat so far, as the JSON the templates read, and the next answer to it. */
#ifndef KWAAI_CLI_CONVERSATION_H
#define KWAAI_CLI_CONVERSATION_H

#include "cli/cli.h"

typedef struct conversation {
    char *json; /* an array without its last bracket */
    size_t len, cap;
    size_t n_messages;
    double prompt_tok_s, tok_s, first_ms; /* of the last answer */
    int n_prompt, n_new;
    char guesses[96]; /* as out_guesses says it */
} conversation;

int conversation_say(conversation *t, const char *role, const char *text, size_t len);
/* Prints the answer as it comes, with a newline behind it, and adds it to the conversation. */
int conversation_answer(conversation *t, cli *c, kw_session *s, const char *chat_template);
void conversation_clear(conversation *t);
void conversation_free(conversation *t);

#endif
