"""How models decline, language by language: regular expressions, and words without which none of a language can match.

To add a language: a line in ``HINTS`` (lower case), its expressions in ``PATTERNS`` (one behind each dash; lines
below go on), and true refusals and near misses of it in the tests. Quotes are plain, text is one line and case does
not count when these are tried.
"""

from __future__ import annotations

import re

# Verbs that a model says it cannot do for the user, apart from what anybody cannot do with a card or an account.
_DO = (
    "(?:assist|help|comply|fulfil+|provide|answer|respond|engage|support|generate|create|produce|write|complete|continue|participate"
    "|discuss|offer|share|give|facilitate|process|proceed|recommend|advise|tell you|do that|do this|accommodate|find)"
)
_CANNOT = "can(?:'t|not| not)"

PATTERNS: dict[str, str] = {
    "en": r"""
        - \bi(?:'m| am)(?: \w+)? (?:sorry|afraid)[,.;:]?(?: but)?(?: that)? (?:i|we)(?: am|'m)? (?:@CANNOT@|won't
          |will not|not able|unable|must|have to) (?:[\w,']+ ){0,3}?@DO@\b
        - \b(?:sorry|apologies|apologize)\b[^.!?]{0,20}[,.;:-] ?(?:but )?(?:i|we) @CANNOT@ (?:\w+ )?@DO@\b
        - \b(?:i|we) (?:@CANNOT@|won't|will not) (?:\w+ly )?(?:assist|help(?: you)?|comply|fulfil+|engage
          |participate|facilitate|accommodate)(?: \w+)? (?:with|in) (?:that|this|your|any|such|the|creat|generat
          |writ|harm|illegal|plan|requests?)
        - \b(?:i|we)(?:'m| am| are|'re) (?:\w+ly )?(?:unable|not (?:able|allowed|permitted|comfortable|programmed
          |designed|going))(?: to| with)? (?:\w+ly )?(?:assist|help with|comply|fulfil+|provid|answer|respond
          |engag|generat|creat|produc|discuss|offer|writ|shar)
        - \b(?:i|we) (?:@CANNOT@|won't|will not) (?:\w+ly )?(?:answer|fulfil+|complete|process|respond to
          |comply with|support|proceed with|discuss) (?:that|this|your|such|the)(?: \w+)? ?(?:question|quer(?:y
          |ies)|request|topic|prompt|task|kind)
        - \b(?:i|we) (?:@CANNOT@|won't|will not) (?:provide|generate|create|write|produce|share|give
          |offer) (?:you (?:with )?)?(?:\w+ ){0,4}(?:information|instructions?|content|advice|guidance|assistance
          |illegal|harmful)
        - \b(?:i|we) (?:must|have to|respectfully|will have to|need to|politely)(?: \w+)? ?(?:decline|refuse)\b
        - \bi (?:decline|refuse) to (?:answer|assist|help|provide|comply|respond|continue)
        - \bas an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant
          |assistant)\b[^.!?]{0,60}?\bi(?: @CANNOT@| do(?:n't| not)| am (?:not|unable)|'m (?:not|unable)| must
          | have no)
        - \b(?:this|that|your|the) (?:request|question|prompt|content) (?:goes against|violates|is against
          |falls outside|is not something (?:i|we))
        - \b(?:goes|against|violates?) (?:my|our|openai's|the) (?:ethical |safety |content |usage |use )?
          (?:guidelines|programming|polic|principles)
    """,
    "de": r"""
        - \b(?:dabei|damit|dazu|das|diese[mnrs]?|hierbei|ihnen|dir)\b[^.!?]{0,40}\b(?:kann|darf|werde
          |möchte) ich\b[^.!?]{0,40}\b(?:nicht|keine[nr]?)\b[^.!?]{0,40}(?:helfen|beantworten|weiterhelfen
          |unterstützen|behilflich|erfüllen|bereitstellen|behandeln)
        - \bich (?:kann|darf|werde)\b[^.!?]{0,40}\b(?:nicht|keine[nr]?)\b[^.!?]{0,60}(?:helfen|weiterhelfen
          |beantworten|unterstützen|behilflich|erfüllen|nachkommen|bereitstellen|erstellen)
        - \b(?:kann|darf) ich (?:ihnen |dir |dabei |damit |leider )*(?:nicht|keine[nr]?) (?:\w+ ){0,4}?(?:helfen
          |weiterhelfen|behilflich|beantworten)
        - \bals (?:ki|künstliche intelligenz|(?:großes )?sprachmodell|ki-[\w-]+)\b[^.!?]{0,60}\b(?:kann|darf|habe
          |bin) ich\b[^.!?]{0,40}\b(?:nicht|kein)
    """,
    "fr": r"""
        - \bje (?:ne (?:peux|puis|suis|saurais)|regrette|refuse)(?: malheureusement)?(?: pas)?(?: (?:en mesure
          |capable|autorisée?) (?:de|d'))? ?(?:pas )?(?:vous |t'|te |y )?(?:aider|assister|répondre|fournir
          |accéder à (?:cette|votre)|satisfaire|donner suite|participer|générer|créer)
        - \ben tant qu(?:e |')(?:ia\b|intelligence artificielle|modèle de lang
          |assistant)[^.!?]{0,80}\bje (?:ne |n')
    """,
    "es": r"""
        - \bno (?:puedo|me es posible|soy capaz de|estoy (?:autorizad[oa]|en condiciones|capacitad[oa])(?: para
          | de)?|podré) (?:ayudar|asistir|proporcionar|responder|cumplir|generar|crear|ofrecer|brindar|participar
          |facilitar|contestar)
        - \bcomo (?:una? )?(?:ia\b|inteligencia artificial|modelo de lenguaje|asistente)[^.!?]{0,80}\bno (?:puedo
          |tengo|soy|debo)
    """,
    "it": r"""
        - \bnon (?:posso|sono in grado di|mi è possibile|sono autorizzat[oa] a) (?:aiutar|assister|fornir
          |risponder|soddisfar|generar|crear|procedere|partecipar)
        - \b(?:come|in quanto) (?:un'? ?)?(?:ia\b|intelligenza artificiale|modello (?:di )?linguistic
          |modello di linguaggio|assistente)[^.!?]{0,80}\bnon (?:posso|sono|ho)
    """,
    "pt": r"""
        - \bnão (?:posso|consigo|sou capaz de|estou (?:autorizad[oa]|apt[oa]) a|me é possível) (?:te |lhe |o |a )?
          (?:ajud|auxili|fornec|respond|atend|ger|cri|oferec|particip|cumpri)
        - \bcomo (?:uma? )?(?:ia\b|inteligência artificial|modelo de linguagem
          |assistente)[^.!?]{0,80}\bnão (?:posso|tenho|sou|consigo)
    """,
    "nl": r"""
        - \b(?:ik (?:kan|mag|ben niet in staat|zal)|(?:kan|mag) ik)\b[^.!?]{0,40}?\b(?:niet|geen
          |om)\b[^.!?]{0,40}?(?:helpen|assisteren|beantwoorden|voldoen|verstrekken|meewerken|ondersteunen)
        - \bals (?:ai|taalmodel|kunstmatige intelligentie)\b[^.!?]{0,60}\b(?:kan|mag|heb) ik\b[^.!?]{0,30}\b
          (?:niet|geen)
    """,
    "pl": r"""
        - \bnie (?:mogę|jestem w stanie|będę móg[lł]\w*) (?:ci |panu |pani |w tym )?(?:pom[oó]c|odpowiedzieć
          |spełnić|udzielić|dostarczyć|wygenerować)
        - \bjako (?:model językowy|sztuczna inteligencja|ai)\b[^.!?]{0,60}\bnie (?:mogę|mam|jestem)
    """,
    "tr": r"""
        - \b(?:bu|size|sana|bunu|üzgünüm)\b[^.!?]{0,50}(?:yardımcı olamam|yardımcı olamıyorum|yardım edemem
          |yanıtlayamam|cevap veremem|sağlayamam|yerine getiremem)
    """,
    "ru": r"""
        - \bя (?:не (?:могу|смогу|в состоянии|имею возможности|буду|стану)|вынужден[а]? отказать)[^.!?]{0,30}
          (?:помочь|помогать|ответить|отвечать|предоставить|выполнить|обсуждать|создать|сгенерировать|в этом\b)
        - \bне могу (?:вам |тебе )?(?:с этим |в этом )?(?:помочь|ответить на (?:этот|ваш))
        - \b(?:как|будучи) (?:языковая модель|языковой моделью|ии\b
          |искусственный интеллект)[^.!?]{0,60}\bне (?:могу|имею|обладаю)
    """,
    "ar": r"""
        - (?:لا (?:أستطيع|استطيع|يمكنني|أقدر)|لن (?:أتمكن|أستطيع)|لست قادر)[^.!?؟]{0,20}(?:مساعد|الإجابة|تقديم
          |تلبية|توفير|إنشاء|الرد)
    """,
    "hi": r"""
        - मैं[^।.!?]{0,60}(?:मदद|सहायता|उत्तर|जवाब|प्रदान|पूरा)[^।.!?]{0,20}नहीं (?:कर|दे) ?(?:सकता|सकती|पाऊँगा
          |पाऊंगा)
    """,
    "zh": r"""
        - 我(?:无法|不能|不可以|没有办法|没法|無法)[^。！？]{0,14}(?:提供|回答|帮助|协助|满足|生成|帮你|帮您
          |讨论|回应|参与|幫助|協助|滿足)
        - (?:抱歉|对不起|對不起|很遗憾)[,，、。！]?[^。！？]{0,12}(?:无法|不能
          |無法)[^。！？]{0,14}(?:提供|回答|帮助|协助|满足|生成|讨论|幫助|協助|滿足)
        - 作为(?:一个|一名)?(?:人工智能|AI|大?语言模型)[^。！？]{0,30}(?:无法|不能|没有)
    """,
    "ja": r"""
        - (?:お手伝い|お答え|ご?回答|対応|提供|ご?支援|お応え|ご?協力|生成
          |作成)(?:を)?(?:する)?(?:こと)?(?:は|が)?(?:でき(?:ません|かねます)|いたしかねます|致しかねます
          |しかねます)
        - (?:AI|人工知能|言語モデル)(?:として|である|な)[^。！？]{0,40}(?:でき(?:ません|ない)|持っていません)
    """,
    "ko": r"""
        - (?:도와\s?드릴|도움을?\s?드릴|답변(?:을)?\s?(?:드릴|할)|제공(?:해\s?드릴|할)|응할|대답할
          |지원(?:해\s?드릴|할)|생성할)\s?수(?:가|는)?\s?없
        - (?:AI|인공지능|언어\s?모델)(?:로서|이기 때문에|로써)[^.!?]{0,40}(?:수 없|않습니다|못합니다)
    """,
}

HINTS: dict[str, tuple[str, ...]] = {
    "en": (
        "n't", "cannot", "can not", "unable", " not ", "decline", "refuse", "against", "violate", "falls outside",
        "have no", " must",
    ),
    "de": ("nicht", "kein"),
    "fr": ("je ne", "je n'", "je re"),
    "es": ("no puedo", "no me", "no soy", "no estoy", "no podr", "no tengo", "no debo"),
    "it": ("non posso", "non sono", "non mi", "non ho"),
    "pt": ("não",),
    "nl": ("niet", "geen", "ik "),
    "pl": ("nie ",),
    "tr": ("am", "emem"),
    "ru": ("не ", "отказать"),
    "ar": ("لا ", "لن ", "لست"),
    "hi": ("नहीं",),
    "zh": ("法", "不能", "不可以", "没有"),
    "ja": ("ません", "かね", "できない"),
    "ko": ("없", "않", "못"),
}  # fmt: skip

# Without one of these none of a language can match either: looked for where one of HINTS was found.
ALSO: dict[str, tuple[str, ...]] = {
    "en": ("i ", "i'", "we ", "we'", "sorry", "apolog", "goes", "against", "violate", "falls outside", "is not something"),
}  # fmt: skip


def compiled(language: str) -> re.Pattern[str]:
    """The expressions of a language as one."""
    pieces = (line.strip() for line in PATTERNS[language].strip().splitlines())
    joined = "".join("|" + piece[2:] if piece.startswith("- ") else piece for piece in pieces)[1:]
    return re.compile(joined.replace("@DO@", _DO).replace("@CANNOT@", _CANNOT), re.IGNORECASE)
