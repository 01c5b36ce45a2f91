#include "change/relations.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_COLUMNS = 1664, /* PostgreSQL's MaxTupleAttributeNumber */
    MAX_RELATIONS = 1 << 20,
};

/* A relation and all its text in one block of memory. */
struct known {
    struct relation relation;
    struct column columns[];
};

void relations_done(struct relations *relations)
{
    for (size_t i = 0; i < relations->count; i++)
        free(relations->known[i]);
    free(relations->known);
    *relations = (struct relations){0};
}

/* The place of the relation with this id, or where it would be inserted. */
static size_t find_place(const struct relations *relations, uint32_t id)
{
    size_t low = 0;
    size_t high = relations->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (relations->known[middle]->relation.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct relations *relations, size_t place, uint32_t id)
{
    return place < relations->count && relations->known[place]->relation.id == id;
}

const struct relation *relations_find(struct relations *relations, uint64_t id)
{
    if (relations->last != NULL && relations->last->relation.id == id)
        return &relations->last->relation;
    if (id > UINT32_MAX)
        return NULL;

    size_t place = find_place(relations, (uint32_t)id);
    if (!is_at(relations, place, (uint32_t)id))
        return NULL;
    relations->last = relations->known[place];
    return &relations->last->relation;
}

static bool keep(struct relations *relations, struct known *known)
{
    size_t place = find_place(relations, known->relation.id);

    relations->last = NULL;
    if (is_at(relations, place, known->relation.id)) {
        free(relations->known[place]);
        relations->known[place] = known;
        return true;
    }
    if (relations->count == MAX_RELATIONS)
        return false;
    if (relations->count == relations->room) {
        relations->room = relations->room == 0 ? 16 : relations->room * 2;
        relations->known =
            memory_realloc(relations->known, relations->room * sizeof(*relations->known));
    }
    memmove(relations->known + place + 1, relations->known + place,
            (relations->count - place) * sizeof(*relations->known));
    relations->known[place] = known;
    relations->count++;
    return true;
}

/* Copies into the relation's own block, where *room moves on. */
static const char *place_text(char **room, struct wire bytes)
{
    size_t size_bytes = wire_size(bytes);
    char *text = *room;

    if (size_bytes > 0)
        memcpy(text, bytes.at, size_bytes);
    text[size_bytes] = '\0';
    *room += size_bytes + 1;
    return text;
}

static bool read_column(struct column *column, struct wire bytes, char **room)
{
    struct wire_field field;
    struct wire name = {0};
    struct wire type = {0};

    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return false;
        switch (field.number) {
        case 1: name = field.bytes; break;
        case 2: type = field.bytes; break;
        case 3: column->type_oid = (uint32_t)field.scalar; break;
        case 4: column->type_modifier = (int32_t)wire_zigzag(field.scalar); break;
        case 5: column->is_key = field.scalar != 0; break;
        default: break;
        }
    }
    if (wire_size(name) == 0)
        return false;
    column->name = place_text(room, name);
    column->type = place_text(room, type);
    return true;
}

static bool read_field(struct relation *relation, const struct wire_field *field, char **room)
{
    switch (field->number) {
    case 1: relation->id = (uint32_t)field->scalar; break;
    case 2: relation->schema = place_text(room, field->bytes); break;
    case 3: relation->table = place_text(room, field->bytes); break;
    case 4: return read_column(&relation->columns[relation->column_count++], field->bytes, room);
    case 5:
        relation->replica_identity = (char)field->scalar;
        return field->scalar == 'd' || field->scalar == 'n' || field->scalar == 'f' ||
               field->scalar == 'i';
    case 6: relation->is_withheld = field->scalar != 0; break;
    default: break;
    }
    return true;
}

/* Counts the columns, and the texts whose terminating zeroes need room. */
static bool measure(struct wire bytes, size_t *columns, size_t *texts)
{
    struct wire_field field;

    *columns = 0;
    *texts = 0;
    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return false;
        *columns += field.number == 4;
        *texts += field.number == 2 || field.number == 3;
    }
    *texts += 2 * *columns;
    return *columns <= MAX_COLUMNS;
}

/* FNV-1a. */
static uint64_t fingerprint(struct wire bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; bytes.at < bytes.end; bytes.at++)
        hash = (hash ^ *bytes.at) * UINT64_C(0x100000001b3);
    return hash;
}

const struct relation *relations_read(struct relations *relations, struct wire bytes)
{
    size_t columns;
    size_t texts;

    if (!measure(bytes, &columns, &texts))
        return NULL;

    struct known *known =
        memory_alloc(sizeof(*known) + columns * sizeof(struct column) + wire_size(bytes) + texts);
    char *room = (char *)&known->columns[columns];
    struct wire_field field;
    bool is_good = true;

    known->relation = (struct relation){
        .schema = "", .table = "", .columns = known->columns, .replica_identity = 'd'};
    known->relation.fingerprint = fingerprint(bytes);
    while (is_good && bytes.at < bytes.end)
        is_good = wire_next(&bytes, &field) && read_field(&known->relation, &field, &room);
    if (is_good && known->relation.id != 0 && keep(relations, known))
        return &known->relation;
    free(known);
    return NULL;
}
