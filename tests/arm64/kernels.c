/* A call of rank_unseen or explain on standard input, what it leaves on standard output: for a processor that is emulated.
 * Input: "r" or "e", then the call's numbers and arrays in the order in which they are read below. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Laid out as scan.c and explain.c have them. */
typedef struct {
    int64_t numbers[5];
    void *arrays[7];
} SearchItems;
typedef struct {
    int64_t n_users;
    void *arrays[8];
} SearchUsers;
typedef struct {
    int64_t n_dims;
    void *arrays[5];
} ExplainItems;
typedef struct {
    int64_t n_places;
    void *arrays[8];
} ExplainUsers;

int64_t has_tile(int64_t kind);
int64_t workspace_bytes(int64_t chunk, int64_t k, int64_t capacity);
void rank_unseen(const SearchItems *items, const SearchUsers *users, int64_t kind, int64_t from, int64_t to, int64_t chunk,
                 int64_t k, int64_t capacity, void *workspace, int32_t *rows, double *scores);
int64_t explain_bytes(int64_t n_dims, int64_t most_bought);
void explain(const ExplainItems *items, const ExplainUsers *users, int64_t from, int64_t to, float *workspace, int32_t *named,
             float *parts);

enum { PADDED_USERS = 8 };

static void *array(int64_t bytes)
{
    void *to = malloc((size_t)bytes + 64);
    if (!to || fread(to, 1, (size_t)bytes, stdin) != (size_t)bytes)
        exit(3);
    return to;
}

static int64_t number(void)
{
    int64_t value;
    if (fread(&value, sizeof value, 1, stdin) != 1)
        exit(3);
    return value;
}

static void ranked(void)
{
    const int64_t kind = number(), chunk = number(), k = number(), capacity = number();
    const int64_t n_items = number(), n_dims = number(), n_quads = number(), n_blocks = number(), block_items = number();
    const int64_t n_users = number(), n_seen = number();
    const SearchItems items = {{n_items, n_dims, n_quads, n_blocks, block_items},
                         {array(n_items * n_dims * 4), array(n_items * 4), array(n_blocks * block_items * n_quads * 4),
                         array(n_blocks * 8), array(n_blocks * 8), array(n_blocks * 8), array(n_blocks * 8)}};
    const SearchUsers users = {n_users, {array(n_users * n_dims * 4), array((n_users + PADDED_USERS) * n_quads * 4),
                         array(n_users * 8), array(n_users * 8), array(n_users * 8), array(n_users * 4),
                         array((n_users + 1) * 8), array(n_seen * 4)}};
    int32_t *rows = malloc((size_t)(n_users * k) * 4);
    double *scores = malloc((size_t)(n_users * k) * 8);
    if (!has_tile(kind))
        exit(4);
    rank_unseen(&items, &users, kind, 0, n_users, chunk, k, capacity, malloc((size_t)workspace_bytes(chunk, k, capacity)),
                rows, scores);
    fwrite(rows, 4, (size_t)(n_users * k), stdout);
    fwrite(scores, 8, (size_t)(n_users * k), stdout);
}

static void explained(void)
{
    const int64_t n_items = number(), n_dims = number(), n_users = number(), n_places = number(), n = number(), most = number();
    const ExplainItems items = {n_dims, {array(n_items * n_dims * 4), array(n_items * 8), array(n_items * 4),
                                array(n_dims * 4), array(n_dims * 4)}};
    const ExplainUsers users = {n_places, {array((n_users + 1) * 8), array(n * 4), array(n * 4), array(n_users * 4),
                                array(n_users * n_dims * 4), array(n_users * 4), array(n_users * n_dims * 4),
                                array(n_users * n_places * 4)}};
    int32_t *named = array(n_users * n_places * 4);
    float *parts = array(n_users * 3 * n_places * 4);
    explain(&items, &users, 0, n_users, malloc((size_t)explain_bytes(n_dims, most)), named, parts);
    fwrite(named, 4, (size_t)(n_users * n_places), stdout);
    fwrite(parts, 4, (size_t)(n_users * 3 * n_places), stdout);
}

int main(void)
{
    if (getchar() == 'r')
        ranked();
    else
        explained();
    return 0;
}
